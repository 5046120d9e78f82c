# SPDX-License-Identifier: Apache-2.0
"""torch.accelerator: the same names on every backend."""

import pytest
import torch

accelerator = torch.accelerator


def test_the_accelerator_is_the_npu() -> None:
    assert accelerator.is_available()
    assert accelerator.current_accelerator() == torch.device("npu")
    assert accelerator.device_count() == 1
    assert accelerator.current_device_index() == 0
    accelerator.set_device_index(0)
    with accelerator.device_index(0):
        assert torch.zeros(1, device="npu").device.index == 0


def test_its_streams_are_those_of_torch_npu() -> None:
    before = accelerator.current_stream()
    stream = torch.Stream("npu")
    accelerator.set_stream(stream)
    try:
        assert accelerator.current_stream() == stream
        assert torch.npu.current_stream().stream_id == stream.stream_id
        done = stream.record_event(torch.Event("npu"))
        accelerator.synchronize()
        assert done.query()
    finally:
        accelerator.set_stream(before)


def test_its_memory_statistics_follow_a_tensor() -> None:
    accelerator.empty_cache()
    accelerator.reset_peak_memory_stats()
    before = accelerator.memory_allocated()
    tensor = torch.empty(4 << 20, dtype=torch.uint8, device="npu")
    assert accelerator.memory_allocated() - before >= tensor.numel()
    assert accelerator.memory_reserved() >= accelerator.memory_allocated()
    peak = accelerator.max_memory_allocated()
    free, total = accelerator.get_memory_info()
    assert free <= total - accelerator.memory_reserved()
    del tensor
    assert accelerator.memory_allocated() == before
    assert accelerator.max_memory_allocated() == peak
    accelerator.reset_peak_memory_stats()
    assert accelerator.max_memory_allocated() == before
    stats = accelerator.memory_stats()
    assert stats["allocated_bytes.all.current"] == before
    accelerator.reset_accumulated_memory_stats()
    assert accelerator.memory_stats()["allocated_bytes.all.allocated"] == 0


def test_its_graph_captures_and_replays() -> None:
    x, graph = torch.zeros(4, device="npu"), accelerator.Graph()
    torch.npu.synchronize()
    with torch.Stream("npu"), graph:
        y = x + 1
    x.fill_(5)
    graph.replay()
    assert y.tolist() == [6] * 4


def test_the_device_capability_is_not_told_by_torch_npu_2_13() -> None:
    """It has no answer of its own to torch's question, on a device either."""
    with pytest.raises(RuntimeError, match="doesn't support getting device capabilities"):
        accelerator.get_device_capability()
