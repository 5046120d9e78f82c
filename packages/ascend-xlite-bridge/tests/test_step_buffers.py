# SPDX-License-Identifier: Apache-2.0
"""Steps are made on the device from what a serving engine has there."""

import pytest
import torch

from ascend_xlite_bridge import StepBuffers, XliteRun

DECODES = [[1], [1] * 3, [1] * 8, [1] * 9]
PREFILLS = [[7], [1, 5], [4, 1, 3]]
DMA_BYTES = 32


def put(values, dtype=torch.int32):
    return torch.tensor(values, dtype=dtype, device="npu:0")


@pytest.mark.parametrize("slots", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("lens", [*DECODES, *PREFILLS], ids=str)
def test_lengths_and_slots_are_int32_where_a_device_reads_them(lens, slots):
    # Given requests with 10, 11, ... cached tokens
    run = XliteRun(max_tokens=32, max_requests=9, max_seq_len=256)
    cached = list(range(10, 10 + len(lens)))
    tokens = sum(lens)
    ends = [new + old for new, old in zip(lens, cached, strict=True)]
    positions = [old + i for new, old in zip(lens, cached, strict=True) for i in range(new)]
    # When a step is made of it
    step = StepBuffers(run, torch.device("npu:0")).device_step(
        query_start_loc=put([0, *torch.tensor(lens).cumsum(0).tolist()]),
        seq_lens=put(ends),
        positions=put(positions, torch.int64),
        slot_mapping=put(range(100, 100 + tokens), slots),
        block_table=put([[i] for i in range(len(lens))]),
        lens_cpu=lens,
        seq_lens_cpu=ends,
    )
    # Then it says the same, in the engine's types and at addresses that a copy may begin at
    assert step.lens.tolist() == lens
    assert step.cached_lens.tolist() == step.cached_lens_cpu == cached
    assert step.slot_mapping.tolist() == list(range(100, 100 + tokens))
    for numbers in (step.lens, step.cached_lens, step.slot_mapping):
        assert numbers.dtype == torch.int32
        assert numbers.is_contiguous()
        assert numbers.data_ptr() % DMA_BYTES == 0
