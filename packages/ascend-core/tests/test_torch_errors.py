# SPDX-License-Identifier: Apache-2.0
"""What torch_npu really raises, in processes of their own: torch is no dependency of the package."""

import importlib.util

import pytest

pytestmark = [
    pytest.mark.sim,
    pytest.mark.skipif(
        importlib.util.find_spec("torch_npu") is None, reason="torch_npu is not installed"
    ),
]

CAPTURE = """
import torch
from ascend_core.errors import from_torch_error
ones = torch.ones(4, device="npu")
stream = torch.npu.Stream()
torch.npu.synchronize()
graph = torch.npu.NPUGraph()
with torch.npu.stream(stream):
    graph.capture_begin()
    try:
        {forbidden}
    except RuntimeError as error:
        typed = from_torch_error(error)
        print(type(typed).__name__, typed.code)
    graph.capture_end()
"""

ALLOCATE = """
import torch
from ascend_core.errors import from_torch_error
try:
    torch.empty(1 << 50, device="npu")
except RuntimeError as error:
    typed = from_torch_error(error)
    print(type(typed).__name__, typed.code)
"""


@pytest.mark.parametrize(
    ("forbidden", "code"),
    [("ones.cpu()", 107030), ("stream.synchronize()", 107027), ("torch.npu.synchronize()", 107027)],
)
def test_what_a_capture_forbids_is_a_capture_error(run_python, forbidden, code):
    output = run_python(CAPTURE.format(forbidden=forbidden))

    assert output == f"AclCaptureError {code}"


def test_memory_that_cannot_be_had_is_out_of_memory(run_python):
    assert run_python(ALLOCATE) == "AclOutOfMemory 207001"
