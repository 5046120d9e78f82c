# SPDX-License-Identifier: Apache-2.0
"""What a test may need that a machine may lack."""

from importlib.util import find_spec

import pytest

__all__ = ["needs_xlite"]

needs_xlite = pytest.mark.skipif(find_spec("xlite") is None, reason="xlite is not installed")
