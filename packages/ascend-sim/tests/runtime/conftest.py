# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the conformance suite, for tests of what is ours alone."""

from acl_fixtures import *  # noqa: F403
from machine import begin  # noqa: F401
