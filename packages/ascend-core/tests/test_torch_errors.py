# SPDX-License-Identifier: Apache-2.0
"""What torch_npu really raises; in a process of its own, for the package does not need torch."""

import importlib.util

import pytest

pytestmark = [
    pytest.mark.sim,
    pytest.mark.skipif(
        importlib.util.find_spec("torch_npu") is None, reason="torch_npu is not installed"
    ),
]

SCRIPT = """
import torch
from ascend_core.errors import from_torch_error

ones = torch.ones(4, device="npu")
stream = torch.npu.Stream()

def typed(function):
    try:
        function()
    except RuntimeError as error:
        found = from_torch_error(error)
        print(type(found).__name__, found.code)

with torch.npu.stream(stream):
    for forbidden in (ones.cpu, stream.synchronize, torch.npu.synchronize):
        graph = torch.npu.NPUGraph()
        graph.capture_begin()
        typed(forbidden)
        graph.capture_end()
typed(lambda: torch.empty(1 << 50, device="npu"))
"""


def test_errors_of_torch_npu_become_typed(run_python):
    assert run_python(SCRIPT).splitlines() == [
        "AclCaptureError 107030",  # a synchronous copy
        "AclCaptureError 107027",  # a stream that is captured
        "AclCaptureError 107027",  # a device with such a stream
        "AclOutOfMemory 207001",  # from the allocator, whose text has no code
    ]


CALLS = """
import torch
from ascend_core.errors import from_torch_error

ones = torch.ones(4, device="npu")

def named(function):
    try:
        function()
    except RuntimeError as error:
        print(from_torch_error(error).call)

def capture_a_wait():
    stream = torch.npu.Stream()
    with torch.npu.stream(stream):
        graph = torch.npu.NPUGraph()
        graph.capture_begin()
        torch.npu.ExternalEvent().wait(stream)
        graph.capture_end()

named(lambda: torch.npu.set_device(77))
named(lambda: torch.ones(3, device="npu") @ ones)
named(capture_a_wait)
"""


def test_the_call_that_failed_has_its_name(run_simulated):
    """Also from an operator, from a wrapper of torch_npu's, and from its queue of tasks (310P)."""
    device, operator, queued = run_simulated(CALLS, "--soc", "Ascend310P3").split()
    assert device == "aclrtSetDevice"
    assert operator == "aclnnMatmul"
    assert queued in ("aclrtValueWait", "aclrtValueWrite")  # both fail; the newest report counts
