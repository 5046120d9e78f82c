# SPDX-License-Identifier: Apache-2.0
"""Faults and hooks from Python and from the command line; what they do is in tests/runtime."""

import pytest

from ascend_sim import ConfigError, Fault, SimConfig
from ascend_sim._fault import ACTIONS, KINDS

START = "import ascend_sim; from ascend_sim import SimConfig, hook, inject; ascend_sim.activate()"


@pytest.mark.parametrize(
    "text",
    [
        "fail:aclrtMalloc",
        "fail:malloc,bytes=1024,nth=3,code=207001",
        "break:aclnnAdd,every=2,code=ACL_ERROR_RT_AICORE_EXCEPTION",
        "die:collective,device=1,from=7",
    ],
)
def test_a_fault_is_written_as_it_is_read(text: str) -> None:
    assert str(Fault.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("fail", "ACTION:TARGET"),
        ("explode:malloc", "fail, break, hang, die, lose"),
        ("fail:maloc", "did you mean 'malloc'"),
        ("fail:cudaMalloc", "ABI function"),
        ("fail:malloc,nth=0", "counted from 1"),
        ("fail:malloc,code=OOM", "neither a number nor"),
        ("fail:malloc,nth=1,every=2", "only one of"),
        ("fail:malloc,when=1", "nth, every, from"),
        ("hang:malloc,code=1", "only fail and break"),
        ("fail:sync,bytes=1", "for allocations"),
        ("fail:malloc;fail:sync", "ABI function"),
    ],
)
def test_a_text_that_is_no_fault_is_refused_with_what_is_valid(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Fault.parse(text)


def test_the_native_library_knows_the_same_actions_and_kinds(python) -> None:
    texts = [f"{action}:{kind}" for action in ACTIONS for kind in KINDS]
    python(
        START
        + f"""
for text in {texts!r}:
    with inject(text):
        pass
"""
    )


def test_memory_that_runs_out_is_torchs_error(python) -> None:
    python(
        START
        + """
import torch
torch.zeros(4, device="npu")
with inject("fail:malloc,bytes=1048576,from=1") as fault:
    try:
        torch.zeros(1 << 20, device="npu")
    except torch.OutOfMemoryError as error:
        print(type(error).__name__)
    assert fault.hits >= 1
assert fault.hits >= 1
torch.zeros(1 << 20, device="npu")
"""
    )


def test_hooks_see_the_calls_of_torch(python) -> None:
    out = python(
        START
        + """
import torch
x = torch.ones(4, device="npu")
seen = []
with hook("aclnnAdd", before=lambda name: seen.append(name)):
    with hook("aclnnAdd", after=lambda name, code: seen.append(code)):
        x + x
        torch.npu.synchronize()
x + x
torch.npu.synchronize()
print(*seen)
"""
    )
    assert out.split() == ["aclnnAdd", "0"]


def test_a_broken_kernel_is_an_error_at_the_synchronization(cli) -> None:
    code = (
        "import torch; x = torch.ones(4, device='npu'); y = x + x\n"
        "try: torch.npu.synchronize()\n"
        "except RuntimeError as error: print('507014' in str(error))\n"
        "import os; os._exit(0)"
    )
    result = cli("run", "--fault", "break:aclnnAdd,code=507014", "--", "python", "-c", code)
    assert (result.returncode, result.stdout) == (0, "True\n"), result.stderr


def test_the_command_line_refuses_what_is_no_fault(cli) -> None:
    result = cli("run", "--fault", "fail:maloc", "--", "true")
    assert result.returncode == 2
    assert "did you mean 'malloc'" in " ".join(result.stderr.split())


def test_faults_reach_child_processes_through_the_environment() -> None:
    config = SimConfig(faults=("fail:malloc,nth=2", "die:sync"))
    assert SimConfig.from_env(config.to_env()) == config
