# SPDX-License-Identifier: Apache-2.0
"""What a test may need that a machine may lack."""

from importlib.metadata import PackageNotFoundError, version

import pytest

__all__ = ["needs_xlite"]


def _is_installed() -> bool:
    try:
        version("xlite")
    except PackageNotFoundError:
        return False
    return True


needs_xlite = pytest.mark.skipif(not _is_installed(), reason="xlite is not installed")
