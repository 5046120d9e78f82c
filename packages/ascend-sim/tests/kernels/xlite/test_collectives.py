# SPDX-License-Identifier: Apache-2.0
"""XCCL: allreduce, allgather and reduce_scatter.

The ranks are streams of one process here: each has a pool, and a block of control words, at
addresses that all of them know.
"""

from ctypes import c_void_p
from typing import Any

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, u32, u64

NAMES = {
    torch.bfloat16: "bfloat16_t",
    torch.float16: "float16_t",
    torch.float32: "float",
    torch.int32: "int32_t",
    torch.int16: "int16_t",
    torch.int8: "int8_t",
}
BLOCK_BYTES, MOST_RANKS = 8192, 32


class Ranks:
    """Ranks with an input and an output each, at different offsets of their pools."""

    def __init__(
        self, acl: Acl, kernels: Kernels, inputs: list[torch.Tensor], outputs: list[torch.Tensor]
    ) -> None:
        self.acl, self.kernels, self.outputs = acl, kernels, outputs
        count = len(inputs)
        self.streams = [acl.stream() for _ in range(count)]
        blocks = [kernels.upload(torch.zeros(BLOCK_BYTES, dtype=torch.int8)) for _ in inputs]
        pools, self.ins, self.outs = [], [], []
        for rank, (x, y) in enumerate(zip(inputs, outputs, strict=True)):
            gap = 512 * rank
            pool = kernels.upload(torch.zeros(gap + 2 * 4096, dtype=torch.int8))
            acl.ok("aclrtMemcpy", c_void_p(pool + gap), x.nbytes, x.data_ptr(), x.nbytes, 1)
            pools.append(pool)
            self.ins.append(pool + gap)
            self.outs.append(pool + gap + 4096)
            assert max(x.nbytes, y.nbytes) <= 4096
        pad = [0] * (MOST_RANKS - count)
        self.table = kernels.upload(torch.tensor([*blocks, *pad, *pools, *pad]))
        self.generation = 0

    def launch(self, name: str, count: int, rank: int, *, in_place: bool = False) -> None:
        """Put the collective on the stream of one rank."""
        arguments: list[Any] = [self.ins[rank], self.ins[rank] if in_place else self.outs[rank]]
        self.kernels.launch(
            name,
            *(*arguments, u64(count), u32(rank), u32(len(self.ins)), u64(self.generation)),
            *(self.table, u32(0), True),
            stream=self.streams[rank],
        )

    def run(self, name: str, count: int, *, in_place: bool = False) -> list[torch.Tensor]:
        """Run the collective on all ranks and return their outputs."""
        self.generation += 1
        for rank in range(len(self.ins)):
            self.launch(name, count, rank, in_place=in_place)
        for stream in self.streams:
            self.acl.ok("aclrtSynchronizeStream", stream)
        results = [output.clone() for output in self.outputs]
        for result, address in zip(results, self.ins if in_place else self.outs, strict=True):
            self.kernels.download(address, result)
        return results


def numbers(rank: int, count: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rank)
    if dtype.is_floating_point:
        return torch.randn(count, generator=generator).to(dtype)
    return torch.randint(-100, 100, (count,), generator=generator).to(dtype)


def summed(inputs: list[torch.Tensor]) -> torch.Tensor:
    """Sum in the dtype, by rank."""
    total = inputs[0].clone()
    for other in inputs[1:]:
        total += other
    return total


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize(("ranks", "count"), [(2, 64), (3, 50)])
@pytest.mark.parametrize("in_place", [False, True])
def test_allreduce(
    acl: Acl, kernels: Kernels, dtype, ranks: int, count: int, *, in_place: bool
) -> None:
    # given
    inputs = [numbers(rank, count, dtype) for rank in range(ranks)]
    group = Ranks(acl, kernels, inputs, [torch.empty_like(x) for x in inputs])
    # when
    results = group.run(f"allreduce_{NAMES[dtype]}", count, in_place=in_place)
    # then
    for result in results:
        torch.testing.assert_close(result, summed(inputs), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", NAMES)
def test_allgather(acl: Acl, kernels: Kernels, dtype) -> None:
    # given
    inputs = [numbers(rank, 30, dtype) for rank in range(3)]
    group = Ranks(acl, kernels, inputs, [torch.empty(90, dtype=dtype) for _ in inputs])
    # when
    results = group.run(f"allgather_{NAMES[dtype]}", 30)
    # then
    for result in results:
        torch.testing.assert_close(result, torch.cat(inputs), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", NAMES)
def test_reduce_scatter(acl: Acl, kernels: Kernels, dtype) -> None:
    # given
    inputs = [numbers(rank, 60, dtype) for rank in range(3)]
    group = Ranks(acl, kernels, inputs, [torch.empty(20, dtype=dtype) for _ in inputs])
    # when
    results = group.run(f"reduce_scatter_{NAMES[dtype]}", 60)
    # then
    torch.testing.assert_close(torch.cat(results), summed(inputs), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["allreduce_float", "allgather_float", "reduce_scatter_float"])
def test_no_rank_reads_what_a_faster_one_writes_next(acl: Acl, kernels: Kernels, name: str) -> None:
    # given ranks that overwrite their buffers as soon as a call returns
    count = 512
    inputs = [torch.full((count,), float(rank + 1)) for rank in range(2)]
    group = Ranks(acl, kernels, inputs, [torch.empty(2 * count) for _ in inputs])
    sources = [kernels.upload(x) for x in inputs]
    size, between = 4 * count, 3  # bytes; a copy from device to device
    # when
    for _ in range(40):
        group.generation += 1
        for rank, stream in enumerate(group.streams):
            begin, kept, end = (c_void_p(group.ins[rank] + at) for at in (0, size, 4096))
            source = c_void_p(sources[rank])
            acl.ok("aclrtMemcpyAsync", begin, size, source, size, between, stream)
            group.launch(name, count, rank)
            acl.ok("aclrtMemcpyAsync", kept, size, end, size, between, stream)
            acl.ok("aclrtMemsetAsync", begin, size, 255, size, stream)
            acl.ok("aclrtMemsetAsync", end, size, 255, size, stream)
    for stream in group.streams:
        acl.ok("aclrtSynchronizeStream", stream)
    # then
    expected = torch.full((256,), 1.0 if name.startswith("allgather") else 3.0)
    for begin in group.ins:
        result = torch.empty(256)
        group.kernels.download(begin + size, result)
        torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_a_rank_waits_for_the_others(acl: Acl, kernels: Kernels) -> None:
    # given
    inputs = [numbers(rank, 8, torch.float32) for rank in range(2)]
    group = Ranks(acl, kernels, inputs, [torch.empty_like(x) for x in inputs])
    gate = acl.block(group.streams[1])
    # when
    group.generation = 1
    for rank in range(2):
        group.launch("allreduce_float", 8, rank)
    waited = acl.aclrtSynchronizeStreamWithTimeout(group.streams[0], 200)
    gate.open()
    # then
    assert waited == 507046  # ACL_ERROR_RT_STREAM_SYNC_TIMEOUT
    acl.ok("aclrtSynchronizeStream", group.streams[0])


def test_a_stream_can_be_destroyed_while_its_rank_waits(acl: Acl, kernels: Kernels) -> None:
    # given a rank whose peer never comes
    inputs = [numbers(rank, 8, torch.float32) for rank in range(2)]
    group = Ranks(acl, kernels, inputs, [torch.empty_like(x) for x in inputs])
    group.generation = 1
    group.launch("allreduce_float", 8, 0)
    # when, then
    acl.ok("aclrtDestroyStreamForce", group.streams[0])


def test_calls_count_across_the_range_of_a_flag(acl: Acl, kernels: Kernels) -> None:
    # given the last number that 32 bits hold
    inputs = [numbers(rank, 8, torch.float32) for rank in range(2)]
    group = Ranks(acl, kernels, inputs, [torch.empty_like(x) for x in inputs])
    group.run("allreduce_float", 8)
    # when
    for generation in (1 << 30, (1 << 31) + 1, (1 << 32) - 1, 1 << 32):
        group.generation = generation - 1
        results = group.run("allreduce_float", 8)
        # then
        torch.testing.assert_close(results[0], summed(inputs), rtol=0, atol=0)
