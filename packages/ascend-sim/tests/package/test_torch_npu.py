# SPDX-License-Identifier: Apache-2.0
"""The unmodified torch_npu wheel on the simulator: quiet, on its CANN 9.1 paths, and right."""

import sys
from pathlib import Path

import pytest

from ascend_sim._coverage import operators

TESTS = Path(__file__).parents[1]
PREAMBLE = "import ascend_sim; ascend_sim.activate()\n"


def test_importing_torch_prints_nothing(cli) -> None:
    result = cli("run", "--", sys.executable, "-W", "error", "-c", "import torch, torch_npu")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_torch_npu_sees_cann_9_1(python) -> None:
    out = python(
        PREAMBLE
        + """
import torch
from torch_npu.npu.utils import _is_gte_cann_version, get_cann_version
from torch_npu.utils.collect_env import get_cann_version as get_toolkit_version
print(get_cann_version(), get_toolkit_version())
print(_is_gte_cann_version("9.1.0"), _is_gte_cann_version("9.2.0"))
"""
    )
    assert out.split() == ["9.1.0", "9.1.0", "True", "False"]


def test_first_use_of_a_device_prints_what_it_prints_on_an_npu(cli) -> None:
    """On A2 and A3 chips torch_npu says that it pads allocations; nothing else may appear."""
    code = "import torch; assert torch.ones(3, device='npu').sum().item() == 3"
    result = cli("run", "--", sys.executable, "-W", "error", "-c", code)
    assert (result.returncode, result.stdout) == (0, "")
    (line,) = result.stderr.splitlines()
    assert "require processing for 32 padding size" in line


def test_a_stream_can_be_made_before_a_device_is_chosen(python) -> None:
    out = python(
        PREAMBLE
        + """
import ctypes, torch_npu
stream = ctypes.c_void_p()
print(int(torch_npu.npu.npurt().npuStreamCreate(ctypes.addressof(stream))), bool(stream))
"""
    )
    assert out.split() == ["0", "True"]


def test_basic_operations_agree_with_the_cpu(python) -> None:
    python(
        PREAMBLE
        + """
import torch
torch.manual_seed(0)
a, b = torch.randn(16, 24), torch.randn(24, 8)
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    x, y = a.to(dtype), b.to(dtype)
    torch.testing.assert_close((x.npu() @ y.npu()).cpu(), x @ y)
    torch.testing.assert_close((x.npu() * 3 + 1).cpu(), x * 3 + 1)
    torch.testing.assert_close(torch.softmax(x.npu(), -1).cpu(), torch.softmax(x, -1))
assert torch.equal(torch.arange(10, device="npu").cpu(), torch.arange(10))
assert torch.equal(a.npu()[2:9, ::3].cpu(), a[2:9, ::3])
assert torch.equal(torch.cat([a.npu(), a.npu()]).cpu(), torch.cat([a, a]))
"""
    )


def test_a_captured_graph_replays_with_new_input(python) -> None:
    out = python(
        PREAMBLE
        + """
import torch
x = torch.ones(4, device="npu")
graph = torch.npu.NPUGraph()
with torch.npu.graph(graph):
    y = x * 2 + 1
x.fill_(5)
graph.replay()
torch.npu.synchronize()
counters = ascend_sim.counters()
print(y.tolist(), counters["graphs_captured"], counters["graph_executions"])
"""
    )
    assert out.strip() == "[11.0, 11.0, 11.0, 11.0] 1 1"


def test_an_operator_that_is_not_there_is_named_in_the_error(python) -> None:
    error = python(
        PREAMBLE
        + """
import torch
image, places = torch.zeros(1, 1, 2, 2, device="npu"), torch.zeros(1, 1, 2, 2, device="npu")
torch.ops.aten.max_unpool2d(image, places.long(), [4, 4])
torch.npu.synchronize()
""",
        status=1,
    )
    assert "aclnnMaxUnpool2d" not in operators()
    assert "aclnnMaxUnpool2d failed: ascend-sim does not simulate this operator" in error
    assert "torch.ops.aten.max_unpool2d led to it" in error


def test_an_output_of_another_shape_is_an_error_not_resized(python) -> None:
    """ATen would resize an output whose memory suffices; the caller would not know."""
    error = python(
        PREAMBLE
        + f"""
import sys
from pathlib import Path
import torch
sys.path.insert(0, {str(TESTS)!r})
from support.aclnn import call
column, out = torch.ones(3, 1, device="npu"), torch.zeros(3, 4, device="npu")
call("aclnnAdd", column, column, 1, out)
""",
        status=1,
    )
    assert "aclnnAdd refused its arguments" in error
    assert "the shape of an output differs from that of the result" in error


def test_two_devices_have_tensors_streams_and_graphs_of_their_own(python) -> None:
    python(
        """
        import ascend_sim
        ascend_sim.activate(ascend_sim.SimConfig(devices=2))
        import torch

        assert torch.npu.device_count() == 2
        assert torch.npu.can_device_access_peer(0, 1)
        here = torch.arange(6.0, device="npu:0")
        there = here.to("npu:1")
        assert there.device.index == 1
        assert (there * 2).to("npu:0").tolist() == [0, 2, 4, 6, 8, 10]
        with torch.npu.device(1):
            stream = torch.npu.Stream()
            assert stream.device.index == 1
            with torch.npu.stream(stream):
                ones = torch.ones(4, device="npu:1") + 1
            stream.synchronize()
            assert ones.tolist() == [2, 2, 2, 2]
            graph, x = torch.npu.NPUGraph(), torch.zeros(4, device="npu:1")
            with torch.npu.graph(graph):
                y = x + 3
            x.fill_(2)
            graph.replay()
            torch.npu.synchronize()
            assert y.tolist() == [5, 5, 5, 5]
        before = [torch.npu.mem_get_info(device)[0] for device in (0, 1)]
        held = torch.empty(64 << 20, dtype=torch.uint8, device="npu:1")
        after = [torch.npu.mem_get_info(device)[0] for device in (0, 1)]
        assert after[0] == before[0] and after[1] <= before[1] - held.numel()
        """
    )


@pytest.mark.parametrize("soc", ["Ascend310P3", "Ascend950PR_9599"])
def test_torch_npu_accepts_chips_of_other_generations(python, soc: str) -> None:
    python(
        f"""
        import ascend_sim
        ascend_sim.activate(ascend_sim.SimConfig(soc={soc!r}))
        import torch
        assert torch.npu.get_device_name(0) == {soc!r}
        x, graph = torch.zeros(2, device="npu"), torch.npu.NPUGraph()
        with torch.npu.graph(graph):
            y = x + 1
        graph.replay()
        assert y.tolist() == [1, 1]
        """
    )
