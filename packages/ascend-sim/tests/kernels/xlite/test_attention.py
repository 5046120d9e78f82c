# SPDX-License-Identifier: Apache-2.0
"""attention and flash_attention."""

from typing import Any

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, u32
from rounding import HALVES, assert_rounded, values

NAMES = {torch.bfloat16: "bfloat16_t", torch.float16: "float16_t"}
BLOCK = 16


class Batch:
    """Requests over a paged cache whose blocks are in no order."""

    def __init__(
        self,
        lengths: list[int],
        cached: list[int],
        heads: tuple[int, int] = (4, 2),
        size: int = 64,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self.lengths, self.cached, (self.heads, self.kv_heads), self.size = (
            *(lengths, cached, heads),
            size,
        )
        tokens = sum(lengths)
        self.qkv = values(tokens, (self.heads + 2 * self.kv_heads) * size, dtype=dtype)
        self.qkv[:, : self.heads * size] /= size**0.5
        self.width = max((a + b + BLOCK - 1) // BLOCK for a, b in zip(lengths, cached, strict=True))
        blocks = torch.randperm(
            len(lengths) * self.width, generator=torch.Generator().manual_seed(1)
        )
        self.tables = blocks.view(len(lengths), self.width).int()
        # Keys and values of a block lie side by side.
        self.cache = values(len(blocks), 2, BLOCK, self.kv_heads, size, dtype=dtype, seed=2)
        self.out = torch.zeros(tokens, self.heads * size, dtype=dtype)

    def attempt(self, kernels: Kernels, kernel: str = "attention") -> int:
        cache = kernels.upload(self.cache)
        half = BLOCK * self.kv_heads * self.size
        starts = [sum(self.lengths[:i]) for i in range(len(self.lengths))]
        scratch: list[Any] = [None] * (7 if kernel == "flash_attention" else 1)
        tile = [u32(8192)] if kernel == "flash_attention" else []
        int32 = [torch.tensor(x, dtype=torch.int32) for x in (starts, self.lengths, self.cached)]
        return kernels.attempt(
            f"{kernel}_{NAMES[self.qkv.dtype]}",
            *(self.qkv, cache, cache + half * self.qkv.element_size(), *scratch, self.out),
            *(*int32, self.tables, u32(2 * half), u32(2 * half), u32(self.heads)),
            *(u32(self.kv_heads), u32(self.size), u32(BLOCK), u32(len(self.lengths))),
            *(u32(self.width), *tile),
        )

    def exact(self) -> torch.Tensor:
        """Causal attention in float64, with scores and weights rounded to the dtype."""
        dtype, rows, results = self.qkv.dtype, self.qkv.view(len(self.qkv), -1, self.size), []
        first = 0
        for i, (new, old) in enumerate(zip(self.lengths, self.cached, strict=True)):
            pages = self.cache[self.tables[i].long()]  # [blocks, 2, BLOCK, heads, size]
            keys, numbers = (
                pages[:, which].flatten(0, 1)[: old + new].transpose(0, 1) for which in (0, 1)
            )
            group = self.heads // self.kv_heads
            keys, numbers = (x.repeat_interleave(group, 0).double() for x in (keys, numbers))
            queries = rows[first : first + new, : self.heads].transpose(0, 1).double()
            scores = (queries @ keys.transpose(1, 2)).to(dtype).double()
            hidden = torch.ones(new, old + new).triu(old + 1).bool()
            weights = scores.masked_fill(hidden, -torch.inf).softmax(-1).to(dtype).double()
            results.append((weights @ numbers).transpose(0, 1).flatten(1))
            first += new
        return torch.cat(results)


BATCHES = {
    "decode": ([1, 1, 1], [0, 40, 15]),
    "prefill": ([37, 5, 70], [0, 0, 0]),
    "chunks and decode together": ([33, 1, 2], [20, 64, 15]),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("kernel", ["attention", "flash_attention"])
def test_queries_attend_to_their_past(kernels: Kernels, kernel: str, batch: str, dtype) -> None:
    # given
    requests = Batch(*BATCHES[batch], dtype=dtype)
    # when
    assert requests.attempt(kernels, kernel) == 0
    # then: a rounded score may fall on the other side, hence more than one rounding
    assert_rounded(requests.out, requests.exact(), roundings=4)


@pytest.mark.parametrize("heads", [(8, 8), (6, 1)])
@pytest.mark.parametrize("size", [40, 128])
def test_heads_share_keys_in_groups_of_any_size(
    kernels: Kernels, heads: tuple[int, int], size: int
) -> None:
    # given
    requests = Batch([3, 1], [10, 30], heads, size)
    # when
    assert requests.attempt(kernels) == 0
    # then
    assert_rounded(requests.out, requests.exact(), roundings=4)


def test_a_query_has_the_same_bits_in_a_prefill_and_in_decode(kernels: Kernels) -> None:
    # given the same tokens at once, and the last of them alone
    whole = Batch([40], [0])
    alone = Batch([1], [39])
    alone.qkv, alone.cache, alone.tables = whole.qkv[39:].clone(), whole.cache, whole.tables
    # when
    assert whole.attempt(kernels) == 0
    assert alone.attempt(kernels) == 0
    # then
    torch.testing.assert_close(alone.out[0], whole.out[39], rtol=0, atol=0)


def test_requests_without_new_tokens_have_no_rows(kernels: Kernels) -> None:
    # given
    requests = Batch([2, 0, 1], [5, 9, 0])
    # when
    assert requests.attempt(kernels) == 0
    # then
    assert_rounded(requests.out, requests.exact(), roundings=4)


@pytest.mark.parametrize(
    ("block", "text"),
    [(-1, "blockTables[0][1] is -1"), (1 << 20, "a block of kCache is outside device memory")],
)
def test_a_block_outside_the_cache_is_an_error(
    kernels: Kernels, acl: Acl, block: int, text: str
) -> None:
    # given
    requests = Batch([1], [20])
    requests.tables[0, 1] = block
    # when
    code = requests.attempt(kernels)
    # then
    assert code == 507015
    assert text in acl.message()


def test_more_tokens_than_the_table_has_blocks_for_is_an_error(kernels: Kernels, acl: Acl) -> None:
    # given
    requests = Batch([1], [20])
    requests.cached = [100]
    # when
    code = requests.attempt(kernels)
    # then
    assert code == 507015
    assert "request 0 has 101 tokens" in acl.message()
