# SPDX-License-Identifier: Apache-2.0
"""Calls of attention that a device refuses although they could be computed.

The sources, pages of torch_npu's documentation, stand beside the checks in
`csrc/opapi/attention/limits.cpp`.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch_npu

__all__ = ["REFUSED", "TAKEN", "Call"]

BF16 = torch.bfloat16


def _shape(layout: str, batch: int, tokens: int, heads: int, size: int) -> tuple[int, ...]:
    axes = {"B": batch, "S": tokens, "N": heads, "D": size, "T": batch * tokens, "H": heads * size}
    return tuple(axes[axis] for axis in layout.partition("_")[0])


def _columns(tensor: torch.Tensor) -> torch.Tensor:
    return torch.cat([tensor, tensor], -1)[..., : tensor.size(-1)]


@dataclass(frozen=True)
class Call:
    """A call of npu_fused_infer_attention_score_v2, by what differs from one that is taken.

    Attributes
    ----------
    name
        For the test.
    text
        What the error says.
    rope
        Size of query_rope and key_rope; 0 for none.
    block
        Tokens per block of a paged cache; 0 for none.
    pages
        Layout of the cache: "tokens first", "heads first", "split heads" or "fractal".
    mask
        Shape and dtype of the mask.
    strided
        What is a view that is not contiguous: "query" or "key", being columns of a wider tensor,
        or "pages", with keys and values taking turns block by block.
    more
        Further arguments.
    widened
        Whether the test tries it with `--limits off`; not where that would be slow.
    """

    name: str
    text: str = ""
    layout: str = "BSND"
    batch: int = 2
    queries: int = 4
    keys: int = 16
    heads: int = 2
    kv_heads: int = 2
    size: int = 128
    value_size: int | None = None
    dtype: torch.dtype = BF16
    rope: int = 0
    block: int = 0
    pages: str = "tokens first"
    mask: tuple[tuple[int, ...], torch.dtype] | None = None
    strided: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    widened: bool = True

    def run(self) -> None:
        """Make the call and wait for it."""
        key, value, key_rope = (
            self._cached(size) for size in (self.size, self.value_size or self.size, self.rope)
        )
        query = self._queries(self.size)
        if self.strided == "query":
            query = _columns(query)
        elif self.strided == "key":
            key = _columns(key)
        elif self.strided == "pages":
            key, value = torch.stack([key, value], 1).unbind(1)
        arguments = {
            "num_query_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "input_layout": self.layout,
        }
        if self.rope:
            arguments |= {"query_rope": self._queries(self.rope), "key_rope": key_rope}
        if self.layout.startswith(("TND", "NTD")):
            arguments["actual_seq_qlen"] = self._ends(self.queries)
            arguments["actual_seq_kvlen"] = self._ends(self.keys)
        if self.block:
            blocks = -(-self.keys // self.block)
            table = torch.zeros(self.batch, blocks, dtype=torch.int32, device="npu")
            arguments |= {"block_table": table, "block_size": self.block}
            arguments["actual_seq_kvlen"] = [self.keys] * self.batch
        if self.mask:
            shape, dtype = self.mask
            arguments["atten_mask"] = torch.zeros(shape, dtype=dtype, device="npu")
        torch_npu.npu_fused_infer_attention_score_v2(
            query, key, value, **(arguments | self._on_npu())
        )
        torch.npu.synchronize()

    def _queries(self, size: int) -> torch.Tensor:
        shape = _shape(self.layout, self.batch, self.queries, self.heads, size)
        return torch.empty(shape, dtype=self.dtype, device="npu")

    def _cached(self, size: int) -> torch.Tensor:
        if not self.block:
            shape = _shape(self.layout, self.batch, self.keys, self.kv_heads, size)
        else:
            shape = {
                "tokens first": (1, self.block, self.kv_heads * size),
                "heads first": (1, self.kv_heads, self.block, size),
                "split heads": (1, self.block, self.kv_heads, size),
                "fractal": (1, self.kv_heads, size // 16, self.block, 16),
            }[self.pages]
        return torch.empty(shape, dtype=self.dtype, device="npu")

    def _ends(self, length: int) -> list[int]:
        return [length * (index + 1) for index in range(self.batch)]

    def _on_npu(self) -> dict[str, Any]:
        return {
            name: value.npu() if isinstance(value, torch.Tensor) else value
            for name, value in self.more.items()
        }


_LATENT: dict[str, Any] = {"size": 512, "rope": 64, "heads": 16, "kv_heads": 1, "queries": 1}
_TRIANGLE = ((2048, 2048), torch.bool)

TAKEN = [
    Call("prefill"),
    Call("decode", queries=1, layout="BNSD"),
    Call("fp16", dtype=torch.float16),
    Call("many heads of one", heads=64, kv_heads=1),
    Call("pages", block=128, layout="BSH"),
    Call("pages, heads first", block=128, layout="BNSD", pages="heads first"),
    Call("packed pages", layout="TND", block=16),
    Call("strided query", layout="TND", strided="query"),
    Call("keys and values in one page", layout="TND", block=128, strided="pages"),
    Call("packed, 64", layout="TND", heads=14, kv_heads=2, size=64),
    Call("packed, 192 and 128", layout="TND", size=192, value_size=128),
    Call("latent", layout="BNSD_NBSD", block=128, pages="heads first", **_LATENT),
    Call("latent, NZ", layout="BSND_NBSD", block=128, pages="fractal", **_LATENT),
    Call("latent, packed", layout="TND_NTD", block=16, pages="heads first", **_LATENT),
    Call("rope, 128", layout="NTD_TND", rope=64),
    Call("mask of every sequence", mask=((2, 1, 4, 16), torch.int8)),
    Call("sink", layout="TND", more={"learnable_sink": torch.zeros(2, dtype=BF16)}),
]
"""Calls that a device takes."""

REFUSED = [
    Call("fp32", "float16 and bfloat16", dtype=torch.float32),
    Call("strided key", "key and value must be contiguous", strided="key"),
    Call("strided block", "blocks of a paged cache must be contiguous", strided="key", block=128,
         layout="BSH"),
    Call("layout", "inputLayout NTD must be one of BSH", layout="NTD"),
    Call("layout with 512", "must be one of BSH, BSND", layout="NTD_TND", **_LATENT),
    Call("layout with a rope", "must be one of BSH, BSND", layout="BSH_NBSD", rope=64),
    Call("one query and BNSD_BSND", "more than one query", layout="BNSD_BSND", queries=1),
    Call("17 queries and NBSD", "takes 2 to 16 queries", layout="BSH_NBSD", queries=17),
    Call("257 heads", "at most 256", heads=257, kv_heads=257, size=16),
    Call("65 heads of one", "at most 64 times", heads=65, kv_heads=1, size=16),
    Call("latent, 3 heads", "power of two up to 128", layout="BNSD", **(_LATENT | {"heads": 3})),
    Call("latent, 2 key heads", "must be 1", layout="BNSD", **(_LATENT | {"kv_heads": 2})),
    Call("size 520", "at most 512", size=520),
    Call("size 24", "multiple of 16", size=24),
    Call("size 20 of one query", "multiple of 8", size=20, queries=1),
    Call("two sizes", "value's head size must be key's", size=64, value_size=32),
    Call("packed size 32", "must be 64, 128 or 192", layout="TND", size=32),
    Call("packed sizes 128, 64", "must be 64, 128 or 192", layout="TND", value_size=64),
    Call("192 in groups", "as many key as query heads", layout="TND", size=192, kv_heads=1),
    Call("rope and size 64", "must be 512 or 128", size=64, rope=64),
    Call("rope of 32", "queryRope and keyRope must be 64", rope=32),
    Call("65537 sequences", "at most 65536", batch=65537, queries=1, keys=1, heads=1, kv_heads=1,
         size=8),
    Call("4097 packed sequences", "at most 4096", layout="TND", batch=4097, queries=1, keys=1,
         heads=1, kv_heads=1),
    Call("17 latent queries", "at most 16 queries", layout="TND", **(_LATENT | {"queries": 17})),
    Call("262145 keys of one query", "at most 262144", queries=1, keys=262145, heads=1,
         kv_heads=1, size=8, batch=1),
    Call("too many keys", "at most 20971520", keys=(20 << 20) + 1, heads=1, kv_heads=1, size=16,
         batch=1, widened=False),
    Call("block of 16 in prefill", "blockSize must be 128", block=16, layout="BSH"),
    Call("block of 1024 in prefill", "blockSize must be 128", block=1024, layout="BSH"),
    Call("block of 8 in decode", "multiple of 16", block=8, layout="BSH", queries=1, keys=8),
    Call("block of 1024 in decode", "up to 512", block=1024, layout="BSH", queries=1),
    Call("block of 24, packed", "multiple of 16 up to 1024", block=24, layout="TND"),
    Call("block of 2048, packed", "multiple of 16 up to 1024", block=2048, layout="TND"),
    Call("pages with split heads", "a paged cache must be", block=128, pages="split heads"),
    Call("pages by head in BSND", r"size\] in layout BSND", block=128, pages="heads first"),
    Call("NZ without a rope", "needs a head size of 512", block=128, pages="fractal",
         layout="BNSD"),
    Call("wide rows", "at most 65535", block=16, layout="BSH", queries=1, heads=256, kv_heads=256,
         size=264),
    Call("latent, mode 2", "sparseMode must be 0, 3 or 4", layout="BNSD", mask=_TRIANGLE,
         more={"sparse_mode": 2}, **(_LATENT | {"queries": 2})),
    Call("fp16 mask", "bool, int8 or uint8", mask=((4, 16), torch.float16)),
    Call("mask of every head", "attenMask must be", mask=((2, 2, 4, 16), torch.bool)),
    Call("two triangles", "must be .2048, 2048", mask=((2, 2048, 2048), torch.bool),
         more={"sparse_mode": 3}),
    Call("sink in BSND", "needs layout TND", more={"learnable_sink": torch.zeros(2, dtype=BF16)}),
    Call("sink in fp32", "must be bfloat16", layout="TND",
         more={"learnable_sink": torch.zeros(2)}),
    Call("sink and 192", "at most 128", layout="TND", size=192,
         more={"learnable_sink": torch.zeros(2, dtype=BF16)}),
]  # fmt: skip
"""Calls that one limit refuses, with words of its text."""
