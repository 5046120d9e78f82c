# SPDX-License-Identifier: Apache-2.0
"""`--check hazards` sees memory that a kernel finds only while it runs, and names the kernel."""

import sys
from typing import Any

import pytest

PROGRAM = """
import sys; sys.path[:0] = {path!r}
import torch
from ctypes import c_void_p
from launcher import Kernels, i64, u32, u64

kernels, writer, computer = Kernels(acl), acl.stream(), acl.stream()
x, weight, z = (kernels.upload(torch.ones(16, 16).bfloat16()) for _ in range(3))
weights = kernels.upload(torch.tensor([weight]))
counts = kernels.upload(torch.tensor([16], dtype=torch.int32))
acl.fill(writer, c_void_p(weight), 1)
{order}
kernels.launch(
    "group_matmul_bfloat16_t",
    *(x, weights, z, None, counts, u32(1), i64(16), i64(16), u64(0), u64(0), u64(0)),
    *(u32(0), u32(1), False, False, u64(0)),
    stream=computer,
)
acl.ok("aclrtSynchronizeDevice")
print(acl.counters()["hazards"])
"""


@pytest.mark.parametrize(("order", "hazards"), [("", 1), ("acl.fork(writer, computer)", 0)])
def test_the_weight_of_an_expert_that_another_stream_writes(
    program: Any, order: str, hazards: int
) -> None:
    # given a weight whose address is in device memory, and a stream that writes it
    code = PROGRAM.format(order=order, path=sys.path)
    # when
    result = program(code, '{"check": "hazards"}', TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    # then
    assert result.stdout == f"{hazards}\n"
    assert ("group_matmul_bfloat16_t on stream" in result.stderr) == bool(hazards)
