# SPDX-License-Identifier: Apache-2.0
"""Fused attention of inference is no more permissive than that of a device."""

import pytest
import torch
import torch_npu
from support.attention import TRIANGLE, assert_near, attend, hidden, over_pages, paged, rows_of
from support.infer_calls import REFUSED, TAKEN
from support.oracle import to_npu, values

import ascend_sim


@pytest.mark.parametrize("call", TAKEN, ids=lambda call: call.name)
def test_what_a_device_takes_is_taken(call):
    call.run()


@pytest.mark.parametrize("call", REFUSED, ids=lambda call: call.name)
def test_what_a_device_refuses_is_refused(call):
    with pytest.raises(RuntimeError, match=call.text) as error:
        call.run()
    assert "`--limits off` lifts it" in str(error.value)


@pytest.mark.device_limits("off")
@pytest.mark.parametrize(
    "call", [call for call in REFUSED if call.widened], ids=lambda call: call.name
)
def test_without_limits_it_is_computed(call):
    call.run()


def test_limits_are_lifted_for_a_block_and_then_in_force_again():
    widened = next(call for call in REFUSED if call.widened)
    with ascend_sim.device_limits("off"):
        widened.run()
    with pytest.raises(RuntimeError, match=widened.text):
        widened.run()


def test_limits_that_there_are_not_are_an_error():
    with pytest.raises(ascend_sim.ConfigError, match="limits"), ascend_sim.device_limits("none"):
        pass


def _apart(pages):
    """Return the pages as every second block of a larger tensor."""
    return torch.stack([pages, pages.neg()], 1)[:, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sizes_of_a_device_are_computed_right(dtype):
    (actual, _), (expected, _) = over_pages(
        [1, 70, 3], [40, 90, 3], heads=(8, 2), size=128, block=128, dtype=dtype
    )
    assert_near(actual, expected)


@pytest.mark.parametrize(
    "arrange",
    [lambda cache: _apart(cache.flatten(2)), lambda cache: _apart(cache.transpose(1, 2))],
    ids=["tokens first", "heads first"],
)
@pytest.mark.parametrize(
    ("queries", "keys"), [([1, 1], [6, 130]), ([70, 1], [90, 33])], ids=["decode", "mixed"]
)
def test_the_blocks_of_a_cache_may_lie_apart(queries, keys, arrange):
    """As where keys and values share pages, which is how vLLM-Ascend lays out its cache."""
    (actual, _), (expected, _) = over_pages(
        queries, keys, size=64, block=128, dtype=torch.bfloat16, arrange=arrange
    )
    assert_near(actual, expected)


def test_the_blocks_of_a_cache_may_lie_apart_for_a_single_query():
    lengths, heads, size, block = [6, 130], 4, 64, 128
    key, value, table = paged(lengths, block, (2, size), (2, size), dtype=torch.float16)
    query = values(2, 1, heads, size, dtype=torch.float16)
    actual = torch_npu.npu_incre_flash_attention(
        query.flatten(2).npu(),
        *(to_npu(_apart(cache.flatten(2))) for cache in (key, value)),
        num_heads=heads,
        num_key_value_heads=2,
        scale_value=0.125,
        input_layout="BSH",
        actual_seq_lengths=lengths,
        block_table=table.npu(),
        block_size=block,
    )
    expected = [
        attend(
            query[i],
            rows_of(key, table[i], length),
            rows_of(value, table[i], length),
            torch.zeros(1, length, dtype=torch.bool),
        )[0].flatten(1)
        for i, length in enumerate(lengths)
    ]
    assert_near(actual, torch.stack(expected))


def test_queries_may_be_columns_of_a_projection():
    """Packed, with a rope: vLLM-Ascend's prefill of latent attention."""
    tokens, heads = 5, 2
    projected = values(tokens, heads, 128 + 64, dtype=torch.bfloat16)
    key, value = (values(tokens, heads, 128, dtype=torch.bfloat16, seed=s) for s in (1, 2))
    key_rope = values(tokens, heads, 64, dtype=torch.bfloat16, seed=3)
    on_npu = projected.npu()
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        on_npu[..., :128],
        key.npu(),
        value.npu(),
        query_rope=on_npu[..., 128:],
        key_rope=key_rope.npu(),
        atten_mask=TRIANGLE.npu(),
        num_heads=heads,
        num_key_value_heads=heads,
        input_layout="TND",
        sparse_mode=3,
        scale=0.125,
        actual_seq_lengths=[tokens],
        actual_seq_lengths_kv=[tokens],
    )
    expected, _ = attend(
        projected, torch.cat([key, key_rope], -1), value, hidden(tokens, tokens, 3)
    )
    assert_near(actual, expected)
