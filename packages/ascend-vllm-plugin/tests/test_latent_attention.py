# SPDX-License-Identifier: Apache-2.0
"""Latent attention over a paged cache equals attention over the same latents in one piece."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from ascend_core import OptionError
from ascend_ops import in_pieces, key_spans

from ascend_vllm_plugin.attention.latent import NpuLatentImpl
from ascend_vllm_plugin.attention.latent_batch import NpuLatentMetadata

RANK, ROPE, BLOCK_SIZE, SCALE = 64, 16, 128, 0.1
BLOCK_TABLE = [[5, 2], [3, 0]]


def make_impl(heads: int, **options: Any) -> NpuLatentImpl:
    return NpuLatentImpl(heads, RANK + ROPE, SCALE, 1, kv_lora_rank=RANK, **options)


def slots_of(request: int, length: int) -> list[int]:
    table = BLOCK_TABLE[request]
    return [table[p // BLOCK_SIZE] * BLOCK_SIZE + p % BLOCK_SIZE for p in range(length)]


def expected(query: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The last queries of a sequence see the tokens that are not after them, one at a time."""
    results = []
    for row, heads in enumerate(query):
        seen = tokens[: len(tokens) - len(query) + row + 1]
        results.append((heads @ seen.T * SCALE).softmax(-1) @ seen[:, :RANK])
    return torch.stack(results)


@pytest.mark.parametrize("heads", [4, 3], ids=["a power of two", "padded"])
def test_requests_of_different_lengths_attend_to_their_own_blocks(heads: int) -> None:
    # Given two requests in the cache
    random = torch.Generator().manual_seed(0)
    lengths, queries, padding = [150, 7], [40, 1], 3
    tokens = [torch.randn(length, RANK + ROPE, generator=random) for length in lengths]
    query = torch.randn(sum(queries) + padding, heads, RANK + ROPE, generator=random)
    impl, cache = make_impl(heads), torch.zeros(8, BLOCK_SIZE, RANK + ROPE).npu()
    for request, rows in enumerate(tokens):
        slots = torch.tensor([*slots_of(request, len(rows)), -1]).npu()
        rows = torch.cat([rows, torch.ones(1, RANK + ROPE)]).npu()
        impl.do_kv_cache_update(rows[:, :RANK], rows[:, None, RANK:], cache, slots)

    # When their last tokens attend, the first request's in pieces
    ends, kv_lengths, requests = in_pieces([40, 41], lengths, 16)
    table = torch.tensor([BLOCK_TABLE[request] for request in requests], dtype=torch.int32).npu()
    metadata = NpuLatentMetadata(ends, kv_lengths, table, 40, 41)
    parts = query.npu().split([RANK, ROPE], dim=-1)
    output = impl.forward_mqa(parts, cache, metadata, SimpleNamespace(layer_name="x"))[0].cpu()

    # Then each sees its own past, and padding is zero
    torch.testing.assert_close(output[:40], expected(query[:40], tokens[0]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        output[40:41], expected(query[40:41], tokens[1]), rtol=1e-4, atol=1e-4
    )
    assert torch.all(output[41:] == 0)


@pytest.mark.parametrize("most_keys", [1000, 256], ids=["at once", "in spans"])
def test_requests_of_many_queries_attend_to_keys_and_values_made_of_latents(most_keys: int) -> None:
    # Given two requests in the cache, and what keys and values of three heads are made by
    random = torch.Generator().manual_seed(0)
    heads, plain, value, lengths, queries, padding = 3, 48, 32, [300, 130], [120, 130], 2
    tokens = [torch.randn(length, RANK + ROPE, generator=random) for length in lengths]
    query = torch.randn(sum(queries) + padding, heads, plain + ROPE, generator=random)
    weight = torch.randn(heads, plain + value, RANK, generator=random) / RANK**0.5
    cache = torch.zeros(8, BLOCK_SIZE, RANK + ROPE).npu()
    matrix = weight.flatten(0, 1).npu()
    impl = make_impl(heads, kv_b_proj=lambda latents: (F.linear(latents, matrix), None))
    blocks = [[5, 2, 1], [3, 6, 0]]
    for table, rows in zip(blocks, tokens, strict=True):
        places = torch.arange(len(rows))
        slots = torch.tensor(table)[places // BLOCK_SIZE] * BLOCK_SIZE + places % BLOCK_SIZE
        rows = rows.npu()
        impl.do_kv_cache_update(rows[:, :RANK], rows[:, None, RANK:], cache, slots.npu())

    # When their last tokens attend, some rows of padding behind them
    table = torch.tensor(blocks, dtype=torch.int32).npu()
    spans = key_spans([120, 250], lengths, table, BLOCK_SIZE, most_keys)
    metadata = NpuLatentMetadata([], [], table, 130, 250, spans=spans)
    output = torch.full((len(query), heads * value), 7.0).npu()
    impl.forward_mha(query.npu(), None, None, cache, metadata, None, output)  # type: ignore[arg-type]

    # Then results are those of keys and values that are made one query at a time
    wanted = []
    for request, rows in enumerate(query[:250].split(queries)):
        latents, rotated = tokens[request].split([RANK, ROPE], dim=-1)
        made = torch.einsum("hdr,tr->thd", weight, latents)
        keys = torch.cat([made[..., :plain], rotated[:, None].expand(-1, heads, -1)], dim=-1)
        for row, each in enumerate(rows):
            seen = len(latents) - len(rows) + row + 1
            scores = torch.einsum("hd,thd->ht", each, keys[:seen]) * SCALE
            wanted.append(torch.einsum("ht,thd->hd", scores.softmax(-1), made[:seen, :, plain:]))
    result = output.cpu()
    torch.testing.assert_close(result[:250], torch.stack(wanted).flatten(1), rtol=1e-4, atol=1e-4)
    assert torch.all(result[250:] == 0)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"sliding_window": 64}, "a sliding window"),
        ({"indexer": object()}, "sparse attention"),
        ({"kv_cache_dtype": "fp8"}, "a KV cache of type 'fp8'"),
    ],
)
def test_what_latent_attention_does_not_do_is_refused_by_name(
    options: dict[str, Any], what: str
) -> None:
    with pytest.raises(OptionError, match=what):
        make_impl(4, **options)
