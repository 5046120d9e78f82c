# SPDX-License-Identifier: Apache-2.0
"""torch.profiler with the NPU's kernels in it."""

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
