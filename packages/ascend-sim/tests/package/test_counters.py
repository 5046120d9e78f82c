# SPDX-License-Identifier: Apache-2.0
"""Counters: in the process, from files while a process runs, and after it was killed."""

import signal
import subprocess
import sys

import pytest

import ascend_sim
from ascend_sim import CountersError, read_counters

KEYS = {
    "tasks_launched",
    "kernels_launched",
    "graphs_captured",
    "graph_executions",
    "bytes_copied",
}


def test_a_process_reads_its_own_counters(python) -> None:
    out = python(
        f"""
        import ascend_sim
        ascend_sim.activate()
        assert not any(ascend_sim.counters().values())
        import torch
        x = torch.zeros(1024, dtype=torch.uint8).npu()
        torch.npu.synchronize()
        before = ascend_sim.counters()
        assert {KEYS!r} <= before.keys()
        x + x
        x.cpu()
        after = ascend_sim.counters()
        print(after["kernels_launched"] - before["kernels_launched"])
        print(after["bytes_copied"] - before["bytes_copied"])
        """
    )
    assert out.split() == ["1", "1024"]


def test_counters_are_live_and_outlive_a_killed_process(clean_environ, tmp_path) -> None:
    # given: a process that keeps its counters in a folder and has run one graph twice
    code = (
        "import ascend_sim; ascend_sim.activate()\n"
        "import torch\n"
        "x = torch.ones(4, device='npu')\n"
        "graph = torch.npu.NPUGraph()\n"
        "with torch.npu.graph(graph): y = x + 1\n"
        "graph.replay(); graph.replay(); torch.npu.synchronize()\n"
        "print('ready', flush=True)\n"
        "input(); graph.replay(); torch.npu.synchronize()\n"
        "print('ready', flush=True)\n"
        "input()\n"
    )
    config = ascend_sim.SimConfig(counters_dir=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=clean_environ | config.to_env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        # when read from outside, while it runs
        first = read_counters(tmp_path)[process.pid]
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "ready\n"
        second = read_counters(tmp_path)[process.pid]
        process.kill()
        process.wait()
    # then: both moments are seen, and the last numbers remain
    assert (first["graphs_captured"], first["graph_executions"]) == (1, 2)
    assert second["graph_executions"] == 3
    assert process.returncode == -signal.SIGKILL
    assert read_counters(tmp_path)[process.pid] == second


def test_a_folder_that_does_not_exist_is_an_error(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no counters folder"):
        read_counters(tmp_path / "none")


def test_other_files_in_the_folder_are_ignored(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("ASIMCNT0")
    (tmp_path / "total.counters").write_text("ASIMCNT0")
    assert read_counters(tmp_path) == {}


def test_a_file_that_is_being_created_is_not_read_yet(tmp_path) -> None:
    (tmp_path / "7.counters").touch()
    (tmp_path / "8.counters").write_bytes(bytes(800))
    assert read_counters(tmp_path) == {}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"ASIMCNT9" + bytes(8), "not a counter block"),
        (b"ASIMCNT1", "not a counter block"),
        (b"ASIMCNT1" + (3).to_bytes(8, "little") + bytes(48), "cut short"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content: bytes, complaint: str) -> None:
    (tmp_path / "7.counters").write_bytes(content)
    with pytest.raises(CountersError, match=complaint):
        read_counters(tmp_path)


def test_a_counters_folder_that_cannot_be_written_is_an_error(python, tmp_path) -> None:
    missing = ascend_sim.SimConfig(counters_dir=str(tmp_path / "missing"))
    error = python(
        "import ascend_sim; ascend_sim.activate(); ascend_sim.counters()",
        status=1,
        **missing.to_env(),
    )
    assert "CountersError" in error
    assert str(tmp_path / "missing") in error
