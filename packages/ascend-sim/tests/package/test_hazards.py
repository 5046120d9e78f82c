# SPDX-License-Identifier: Apache-2.0
"""Hazards of torch programs: operators say what they touch. The rules are in tests/runtime."""

import sys

PROGRAM = """
import torch
x, y = torch.zeros(64, device="npu"), torch.zeros(64, device="npu")
torch.npu.synchronize()
side = torch.npu.Stream()
{order}
with torch.npu.stream(side):
    x.add_(1)
{back}
torch.mul(x, 2, out=y)
torch.npu.synchronize()
"""


def test_a_race_between_operators_of_two_streams_is_named(cli) -> None:
    code = PROGRAM.format(order="", back="")
    result = cli("run", "--check", "hazards", "--", sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr
    assert "aclnnMuls on stream" in result.stderr
    assert "aclnnInplaceAdds on stream" in result.stderr
    assert "256 bytes at" in result.stderr


def test_ordered_operators_are_not_accused(cli) -> None:
    code = PROGRAM.format(
        order="side.wait_stream(torch.npu.current_stream())",
        back="torch.npu.current_stream().wait_stream(side)",
    )
    result = cli("run", "--check", "hazards", "--", sys.executable, "-c", code)
    assert (result.returncode, "hazard" in result.stderr) == (0, False), result.stderr
