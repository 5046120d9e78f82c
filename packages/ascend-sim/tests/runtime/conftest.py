# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the conformance suite, for tests of what is ours alone."""

from acl_fixtures import _runtime, acl, library, process, software_queues

__all__ = ["_runtime", "acl", "library", "process", "software_queues"]
