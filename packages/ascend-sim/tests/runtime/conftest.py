# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the conformance suite, for tests of what is ours alone."""

from acl_fixtures import _runtime, acl, library, process, program, software_queues
from machine import begin

__all__ = ["_runtime", "acl", "begin", "library", "process", "program", "software_queues"]
