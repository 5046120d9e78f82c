# SPDX-License-Identifier: Apache-2.0
"""The caching allocator over simulated memory: what it reports, returns and refuses."""

from collections.abc import Iterator

import pytest
import torch

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    torch.npu.empty_cache()
    yield
    torch.npu.empty_cache()


def block(mib: int) -> torch.Tensor:
    return torch.empty(mib * MIB, dtype=torch.uint8, device="npu")


def test_freed_memory_stays_reserved_until_the_cache_is_emptied() -> None:
    free = torch.npu.mem_get_info()[0]
    tensor = block(64)
    held = torch.npu.mem_get_info()[0]
    assert free - held >= 64 * MIB
    del tensor
    assert torch.npu.mem_get_info()[0] == held
    torch.npu.empty_cache()
    assert torch.npu.mem_get_info()[0] == free


def test_statistics_and_snapshot_agree() -> None:
    tensors = [block(3), block(40)]
    stats = torch.npu.memory_stats()
    segments = torch.npu.memory_snapshot()
    assert sum(segment["total_size"] for segment in segments) == torch.npu.memory_reserved()
    assert sum(s["allocated_size"] for s in segments) == stats["allocated_bytes.all.current"]
    assert stats["segment.all.current"] == len(segments)
    assert "NPU memory summary" in torch.npu.memory_summary()
    del tensors


def test_a_recorded_history_names_allocations_and_frees() -> None:
    torch.npu.memory._record_memory_history(stacks="python", context="all")
    try:
        tensor = block(5)
        address = tensor.data_ptr()
        del tensor
        (trace,) = torch.npu.memory._snapshot()["device_traces"]
    finally:
        torch.npu.memory._record_memory_history(None)
    actions = [entry["action"] for entry in trace if entry["addr"] == address]
    assert actions[-3:] == ["alloc", "free_requested", "free_completed"]
    frames = next(e["frames"] for e in trace if e["action"] == "alloc" and e["addr"] == address)
    assert any(frame["name"] == "block" for frame in frames)


def test_more_than_the_device_has_is_out_of_memory_in_torchs_words() -> None:
    with pytest.raises(torch.OutOfMemoryError) as error:
        block(1 << 20)
    assert "NPU out of memory. Tried to allocate 1024.00 GiB (NPU 0; 8.00 GiB total" in str(
        error.value
    )
    assert "reserved in total by PyTorch" in str(error.value)
    assert block(1).shape == (MIB,)  # and goes on


def test_memory_runs_out_when_all_is_in_use() -> None:
    """Nothing of it is touched: a tensor that is not written costs the host nothing."""
    free = torch.npu.mem_get_info()[0]
    held = block(free // MIB - 100)
    with pytest.raises(torch.OutOfMemoryError, match="NPU out of memory"):
        block(200)
    del held
    assert block(200).shape == (200 * MIB,)  # the cache was given back for it


def test_a_fraction_limits_the_process() -> None:
    total = torch.npu.mem_get_info()[1]
    torch.npu.set_per_process_memory_fraction(0.125)
    try:
        with pytest.raises(torch.OutOfMemoryError, match=r"1024\.00 MiB allowed"):
            block(total // MIB // 8 + 2)
        assert block(64).shape == (64 * MIB,)
    finally:
        torch.npu.set_per_process_memory_fraction(1.0)


def test_memory_in_use_by_another_stream_is_not_given_out_again() -> None:
    """What record_stream is for."""
    stream = torch.npu.Stream()
    source = torch.full((MIB,), 3.0, device="npu")
    address = source.data_ptr()
    torch.npu.synchronize()
    release = torch.npu.Event()
    busy = torch.ones(256, 256, device="npu")
    with torch.npu.stream(stream):
        for _ in range(50):
            busy = busy @ busy / 256
        result = source * 2
        release.record()
    source.record_stream(stream)
    del source
    overwritten = torch.zeros(MIB, device="npu")  # of the same size, at once
    if not release.query():
        assert overwritten.data_ptr() != address
    stream.synchronize()
    assert result.eq(6).all()


def test_pinned_memory_is_known_to_the_runtime_and_copied_asynchronously() -> None:
    host = torch.arange(MIB).pin_memory()
    assert host.is_pinned()
    assert not torch.arange(4).is_pinned()
    there = host.to("npu", non_blocking=True)
    back = torch.empty_like(host, pin_memory=True)
    back.copy_(there + 1, non_blocking=True)
    torch.npu.current_stream().synchronize()
    assert torch.equal(back, torch.arange(MIB) + 1)
    assert torch.npu.host_memory_stats()["allocated_bytes.current"] > 0


def test_a_pool_of_ones_own_keeps_its_segments() -> None:
    pool = torch.npu.MemPool()
    with torch.npu.use_mem_pool(pool):
        tensor = block(8)
    (segment,) = pool.snapshot()
    assert segment["address"] <= tensor.data_ptr() < segment["address"] + segment["total_size"]
    outside = block(8)
    assert not segment["address"] <= outside.data_ptr() < segment["address"] + 8 * MIB
