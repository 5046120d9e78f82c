# SPDX-License-Identifier: Apache-2.0
"""torch.profiler with the NPU's kernels in it; torch_npu.profiler with what the host did."""

import json
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile


@pytest.fixture
def trace(tmp_path: Path):
    """Profile a function; return the events of the trace by category."""

    def run(function) -> dict[str, list[dict]]:
        torch.npu.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.PrivateUse1]) as profiler:
            function()
            torch.npu.synchronize()
        path = tmp_path / "trace.json"
        profiler.export_chrome_trace(str(path))
        events: dict[str, list[dict]] = {}
        for event in json.loads(path.read_text())["traceEvents"]:
            events.setdefault(event.get("cat", ""), []).append(event)
        return events

    return run


def test_kernels_are_in_the_trace_with_their_streams_and_times(trace) -> None:
    stream = torch.npu.Stream()
    x = torch.ones(64, 64, device="npu")

    def work() -> None:
        y = x @ x
        torch.npu.current_stream().synchronize()
        with torch.npu.stream(stream):
            y.sin()
        stream.synchronize()

    events = trace(work)
    assert {event["name"] for event in events["cpu_op"]} >= {"aten::matmul", "aten::sin"}
    kernels = {event["name"]: event for event in events["kernel"]}
    product, sine = kernels["aclnnMatmul"], kernels["aclnnSin"]
    assert product["args"]["streamId"] != sine["args"]["streamId"]
    assert product["ts"] + product["dur"] <= sine["ts"]
    launch = next(event for event in events["cpu_op"] if event["name"] == "aten::matmul")
    assert launch["ts"] <= product["ts"]  # one clock


def test_kernels_of_a_replay_are_in_the_trace(trace) -> None:
    x, graph = torch.ones(8, device="npu"), torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        x.exp()

    def replay() -> None:
        for _ in range(3):
            graph.replay()

    names = [event["name"] for event in trace(replay)["kernel"]]
    assert names.count("aclnnExp") == 3


def test_the_driver_answers_so_that_no_operator_of_a_profile_warns(program) -> None:
    done = program("""
        import torch
        with torch.profiler.profile():
            torch.ones(4, device="npu").relu().cpu()
    """)
    assert done.returncode == 0, done.stderr
    assert "Exception in RecordFunction callback" not in done.stderr


@pytest.mark.parametrize("device_too", [False, True], ids=["host", "host and device"])
def test_the_profiler_of_torch_npu_has_the_operators_of_the_host(
    program, tmp_path, device_too
) -> None:
    done = program(f"""
        import torch, torch_npu
        from torch_npu import profiler
        activities = [profiler.ProfilerActivity.CPU]
        if {device_too}:
            activities.append(profiler.ProfilerActivity.NPU)
        x = torch.ones(4, 4, device="npu")
        handler = profiler.tensorboard_trace_handler({str(tmp_path)!r})
        with profiler.profile(activities=activities, on_trace_ready=handler):
            (x @ x).relu().cpu()
    """)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*/ASCEND_PROFILER_OUTPUT/trace_view.json")
    names = [event["name"] for event in json.loads(path.read_text())]
    assert {"aten::matmul", "aten::relu", "aclnnMatmul", "Dequeue@aclnnMatmul"} <= set(names)
    said = "nothing of the device is collected" in done.stderr
    assert said == device_too  # who asks for the device is told
