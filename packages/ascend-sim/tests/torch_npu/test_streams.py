# SPDX-License-Identifier: Apache-2.0
"""Streams and events of torch_npu."""

import threading
import time

import pytest
import torch
import torch_npu


def work(milliseconds: float = 30.0) -> torch.Tensor:
    """Occupy the current stream for about so long."""
    x = torch.full((200, 200), 1 / 200, device="npu")
    torch.npu.current_stream().synchronize()
    begin = time.perf_counter()
    x = x @ x
    torch.npu.current_stream().synchronize()
    rounds = int(milliseconds / 1000 / (time.perf_counter() - begin)) + 1
    for _ in range(min(rounds, 1000)):
        x = x @ x
    return x


@pytest.mark.parametrize("priority", [0, -1])
def test_a_stream_of_either_priority_does_its_work(priority: int) -> None:
    stream = torch.npu.Stream(priority=priority)
    with torch.npu.stream(stream):
        assert torch.npu.current_stream() == stream
        result = torch.ones(8, device="npu") * 3
    stream.synchronize()
    assert stream.query()
    assert result.tolist() == [3] * 8


def test_the_host_runs_ahead_of_a_stream() -> None:
    """Given a stream that a host function holds up, the host is not."""
    stream, done, gate = torch.npu.Stream(), torch.npu.Event(), threading.Event()
    torch_npu.npu._subscribe_report(stream)
    try:
        torch_npu.npu._launch_host_func(stream, lambda _: gate.wait(), None)
        done.record(stream)
        assert not done.query()
        assert not stream.query()
        gate.set()
        done.synchronize()
    finally:
        gate.set()
        torch_npu.npu._unsubscribe_report(stream)
    assert done.query()
    assert stream.query()


def test_a_stream_waits_for_an_event_and_for_a_stream() -> None:
    one, two, ready = torch.npu.Stream(), torch.npu.Stream(), torch.npu.Event()
    x = torch.zeros(1000, device="npu")
    torch.npu.synchronize()
    with torch.npu.stream(one):
        work()
        x += 1
        ready.record()
    with torch.npu.stream(two):
        ready.wait()
        x *= 5
    one.wait_stream(two)
    with torch.npu.stream(one):
        x += 2
    one.synchronize()
    assert x.eq(7).all()


def test_elapsed_time_is_that_between_two_records() -> None:
    start, end = (torch.npu.Event(enable_timing=True) for _ in range(2))
    begin = time.perf_counter()
    start.record()
    work()
    end.record()
    end.synchronize()
    wall = (time.perf_counter() - begin) * 1000
    assert 0 < start.elapsed_time(end) <= wall


def test_an_event_without_timing_has_no_time() -> None:
    start, end = torch.npu.Event(), torch.npu.Event()
    start.record()
    end.record()
    with pytest.raises(RuntimeError, match="time-line flag"):
        start.elapsed_time(end)


def test_torchs_own_stream_and_event_classes() -> None:
    stream = torch.Stream("npu")
    start, end = (torch.Event("npu", enable_timing=True) for _ in range(2))
    with stream:
        start.record()
        x = work(5)
        end.record()
    end.synchronize()
    assert start.elapsed_time(end) > 0
    torch.testing.assert_close(x.cpu(), torch.full((200, 200), 1 / 200))


def test_the_default_stream_is_current_at_first() -> None:
    assert torch.npu.current_stream() == torch.npu.default_stream()
    with torch.npu.stream(torch.npu.Stream()):
        assert torch.npu.current_stream() != torch.npu.default_stream()
    assert torch.npu.current_stream() == torch.npu.default_stream()
