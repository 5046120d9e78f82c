# SPDX-License-Identifier: Apache-2.0
"""The paged key/value cache."""

import pytest
import torch
import torch_npu
from support.aclnn import call
from support.oracle import FLOATS, values


@pytest.mark.parametrize("slot_dtype", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_tokens_land_in_their_slots_and_negative_slots_are_skipped(dtype, slot_dtype):
    key, value = values(4, 2, 8, dtype=dtype), values(4, 2, 8, dtype=dtype, seed=1)
    slots = torch.tensor([5, -1, 0, 11], dtype=slot_dtype)
    keys, others = (
        torch.zeros(3, 4, 2, 8, dtype=dtype).npu(),
        torch.zeros(3, 4, 2, 8, dtype=dtype).npu(),
    )
    torch_npu.npu_scatter_pa_kv_cache(
        key.npu(), value.npu(), keys, others, slots.npu(), cache_mode="Norm"
    )
    for cache, rows in ((keys, key), (others, value)):
        expected = torch.zeros(12, 2, 8, dtype=dtype)
        for slot, row in zip(slots.tolist(), rows, strict=True):
            if slot >= 0:
                expected[slot] = row
        assert torch.equal(cache.cpu().flatten(0, 1), expected)


def test_tokens_may_be_columns_of_a_fused_projection():
    qkv = values(3, 3, 2, 8).npu()
    keys, others = torch.zeros(2, 4, 2, 8).npu(), torch.zeros(2, 4, 2, 8).npu()
    slots = torch.tensor([1, 2, 7], dtype=torch.int32).npu()
    torch_npu.npu_scatter_pa_kv_cache(qkv[:, 1], qkv[:, 2], keys, others, slots, cache_mode="Norm")
    assert torch.equal(keys.cpu().flatten(0, 1)[[1, 2, 7]], qkv[:, 1].cpu())
    assert torch.equal(others.cpu().flatten(0, 1)[[1, 2, 7]], qkv[:, 2].cpu())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_keys_alone_land_in_their_slots(dtype):
    key, cache = values(3, 2, 8, dtype=dtype), torch.zeros(2, 4, 2, 8, dtype=dtype).npu()
    slots = torch.tensor([6, -1, 1], dtype=torch.int32)
    call("aclnnScatterPaCache", key.npu(), cache, slots.npu(), None, None, None, b"Norm")
    expected = torch.zeros(8, 2, 8, dtype=dtype)
    expected[6], expected[1] = key[0], key[2]
    assert torch.equal(cache.cpu().flatten(0, 1), expected)


@pytest.mark.parametrize("cumulative", [False, True])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_tokens_of_sequences_are_gathered_from_their_pages(dtype, cumulative):
    keys, others = values(5, 4, 2, 8, dtype=dtype), values(5, 4, 2, 8, dtype=dtype, seed=1)
    tables = torch.tensor([[3, 0], [4, 1]], dtype=torch.int32)
    lengths = torch.tensor([0, 6, 9] if cumulative else [6, 3], dtype=torch.int32)
    key, value = torch.zeros(9, 2, 8, dtype=dtype).npu(), torch.zeros(9, 2, 8, dtype=dtype).npu()
    torch_npu.npu_gather_pa_kv_cache(
        keys.npu(),
        others.npu(),
        tables.npu(),
        lengths.npu(),
        key,
        value,
        is_seq_lens_cumsum=cumulative,
    )
    for actual, cache in ((key, keys), (value, others)):
        expected = torch.cat([cache[3], cache[0, :2], cache[4, :3]])
        assert torch.equal(actual.cpu(), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int8], ids=str)
def test_in_the_fractal_layout_a_row_lies_in_pieces_of_32_bytes(dtype):
    """[blocks, heads * size / c, block, c]: pieces of a token are a block apart."""
    c = 32 // dtype.itemsize
    key, value = values(4, 2, 32, dtype=dtype), values(4, 2, 64, dtype=dtype, seed=1)
    slots = torch.tensor([5, -1, 0, 11], dtype=torch.int32)
    caches = [torch.zeros(3, 2 * size // c, 4, c, dtype=dtype).npu() for size in (32, 64)]
    torch_npu.npu_scatter_pa_kv_cache(key.npu(), value.npu(), *caches, slots.npu())
    for cache, rows in zip(caches, (key, value), strict=True):
        expected = torch.zeros(cache.size(), dtype=dtype)
        for slot, row in zip(slots.tolist(), rows, strict=True):
            if slot >= 0:
                for piece, part in enumerate(row.flatten().split(c)):
                    expected[slot // 4, piece, slot % 4] = part
        assert torch.equal(cache.cpu(), expected)
