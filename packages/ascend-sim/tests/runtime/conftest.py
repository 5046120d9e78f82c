# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the conformance suite, for tests of what is ours alone."""

from acl_fixtures import _runtime, acl, chosen_device, library, process, program, software_queues
from machine import begin

__all__ = [
    "_runtime",
    "acl",
    "begin",
    "chosen_device",
    "library",
    "process",
    "program",
    "software_queues",
]
