# SPDX-License-Identifier: Apache-2.0
"""Attention over a paged cache equals attention over the same keys and values in one piece."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from ascend_core import OptionError

from ascend_vllm_plugin.attention import NpuAttentionImpl, NpuAttentionMetadata

HEADS, KV_HEADS, HEAD_SIZE, BLOCK_SIZE = 4, 2, 32, 128
BLOCK_TABLE = [[5, 2], [3, 0]]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


class Cache:
    """A layer's cache in vLLM's layout, filled token by token as a model does."""

    def __init__(self, dtype: torch.dtype, sliding_window: int | None = None) -> None:
        self.impl = NpuAttentionImpl(
            HEADS, HEAD_SIZE, HEAD_SIZE**-0.5, KV_HEADS, sliding_window=sliding_window
        )
        self.tensor = torch.zeros(8, KV_HEADS, BLOCK_SIZE, 2 * HEAD_SIZE, dtype=dtype).npu()

    def write(self, key: torch.Tensor, value: torch.Tensor, slots: list[int]) -> None:
        mapping = torch.tensor(slots).npu()
        self.impl.do_kv_cache_update(None, key.npu(), value.npu(), self.tensor, mapping)

    def attend(
        self, query: torch.Tensor, query_ends: list[int], kv_lengths: list[int], rows: int
    ) -> torch.Tensor:
        table = torch.tensor(BLOCK_TABLE, dtype=torch.int32).npu()
        metadata = NpuAttentionMetadata(query_ends, kv_lengths, table, 2, query_ends[-1])
        output = torch.full((rows, HEADS, HEAD_SIZE), torch.nan, dtype=query.dtype).npu()
        self.impl.forward(None, query.npu(), None, None, self.tensor, metadata, output)
        return output.cpu()


def slots_of(request: int, positions: range) -> list[int]:
    return [BLOCK_TABLE[request][p // BLOCK_SIZE] * BLOCK_SIZE + p % BLOCK_SIZE for p in positions]


def expected(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int | None = None
) -> torch.Tensor:
    """The last queries of a sequence attend to the `window` keys that end with their own."""
    rows, columns = query.shape[0], key.shape[0]
    mask = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
    if window is not None:
        mask = mask.triu(columns - rows - window + 1)
    heads_first = (tensor.transpose(0, 1)[None].float() for tensor in (query, key, value))
    result = F.scaled_dot_product_attention(*heads_first, attn_mask=mask, enable_gqa=True)
    return result[0].transpose(0, 1).to(query.dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_requests_of_different_lengths_attend_to_their_own_blocks(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    lengths, queries, padding = [150, 7], [40, 1], 3
    keys = [torch.randn(length, KV_HEADS, HEAD_SIZE).to(dtype) for length in lengths]
    values = [torch.randn(length, KV_HEADS, HEAD_SIZE).to(dtype) for length in lengths]
    query = torch.randn(sum(queries) + padding, HEADS, HEAD_SIZE).to(dtype)
    cache = Cache(dtype)
    for request, (key, value) in enumerate(zip(keys, values, strict=True)):
        cache.write(key, value, slots_of(request, range(len(key))))
    output = cache.attend(query, [40, 41], lengths, query.shape[0])
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(
        output[:40], expected(query[:40], keys[0], values[0]), **tolerance
    )  # fmt: skip
    torch.testing.assert_close(
        output[40:41], expected(query[40:41], keys[1], values[1]), **tolerance
    )
    assert torch.all(output[41:] == 0), "padding rows reach the next layer and must be finite"


@pytest.mark.parametrize("window", [1, 40, 128, 4096])
def test_a_query_sees_no_more_than_its_window(window: int) -> None:
    torch.manual_seed(0)
    keys, values = torch.randn(2, 150, KV_HEADS, HEAD_SIZE)
    query = torch.randn(60, HEADS, HEAD_SIZE)
    cache = Cache(torch.float32, window)
    cache.write(keys, values, slots_of(0, range(150)))

    chunk = cache.attend(query, [60], [150], 60)
    decode = cache.attend(query[-1:], [1], [150], 1)

    oracle = expected(query, keys, values, window)
    torch.testing.assert_close(chunk, oracle, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(decode, oracle[-1:], rtol=1e-5, atol=1e-5)


def test_padding_is_not_written_to_the_cache() -> None:
    cache = Cache(torch.float32)
    ones = torch.ones(3, KV_HEADS, HEAD_SIZE)
    cache.write(ones, ones, [-1, BLOCK_SIZE, -1])
    assert cache.tensor.sum().item() == 2 * KV_HEADS * HEAD_SIZE


def test_while_memory_is_measured_the_output_is_zero() -> None:
    cache = Cache(torch.float32)
    output = torch.full((3, HEADS, HEAD_SIZE), torch.nan).npu()
    cache.impl.forward(None, output, None, None, cache.tensor, None, output)
    assert output.abs().sum().item() == 0


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("alibi_slopes", [0.5], "ALiBi slopes"),
        ("logits_soft_cap", 30.0, "a soft cap on logits"),
        ("sinks", torch.zeros(2), "attention sinks"),
        ("attn_type", "encoder", "attention of type 'encoder'"),
        ("kv_cache_dtype", "fp8", "a KV cache of type 'fp8'"),
    ],
)
def test_what_attention_does_not_do_is_refused_by_name(
    option: str, value: object, what: str
) -> None:
    with pytest.raises(OptionError, match=what):
        NpuAttentionImpl(HEADS, HEAD_SIZE, 1.0, KV_HEADS, **{option: value})
