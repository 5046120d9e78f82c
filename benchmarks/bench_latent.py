# SPDX-License-Identifier: Apache-2.0
"""Milliseconds of latent attention: to latents, and to keys and values that are made of them.

One layer with DeepSeek-V3's sizes and some of its heads, the products with what makes keys and
values included. The queries are the last tokens of a request.
"""

import time
from collections.abc import Callable

import ascend_sim
from _report import parser, report

HEADS, RANK, ROTATED, PLAIN, VALUE = 4, 512, 64, 128, 128
BLOCK = 128
ROUNDS = 7
CASES = [(16, 512), (128, 512), (192, 512), (512, 512), (512, 2048)]
"""Queries, and keys that the last of them sees."""


def main() -> None:
    args = parser(__doc__).parse_args()
    ascend_sim.activate()
    report(
        f"ms per layer of {HEADS} heads, best of {ROUNDS} rounds",
        [_row(queries, keys) for queries, keys in CASES],
        args.json,
    )


def _row(queries: int, keys: int) -> dict[str, object]:
    import torch
    from ascend_ops import in_pieces, key_spans
    from ascend_vllm_plugin.attention.latent import NpuLatentImpl
    from ascend_vllm_plugin.attention.latent_batch import NpuLatentMetadata

    torch.set_num_threads(1)
    options = {"dtype": torch.bfloat16, "device": "npu"}
    weight = torch.randn(HEADS, PLAIN + VALUE, RANK, **options) / RANK**0.5
    to_latent, to_value = weight[:, :PLAIN].contiguous(), weight[:, PLAIN:].contiguous()
    matrix, query = weight.flatten(0, 1), torch.randn(queries, HEADS, PLAIN + ROTATED, **options)
    cache = torch.randn(keys // BLOCK, BLOCK, RANK + ROTATED, **options)
    table = torch.arange(keys // BLOCK, dtype=torch.int32, device="npu")[None]
    output = torch.empty(queries, HEADS * VALUE, **options)
    impl = NpuLatentImpl(
        *(HEADS, RANK + ROTATED, (PLAIN + ROTATED) ** -0.5, 1),
        kv_lora_rank=RANK,
        kv_b_proj=lambda latents: (torch.nn.functional.linear(latents, matrix), None),
    )
    ends, lengths, pieces = in_pieces([queries], [keys], 16)
    absorbed = NpuLatentMetadata(ends, lengths, table[pieces], queries, queries)
    spans = key_spans([queries], [keys], table, BLOCK, 2048)
    expanded = NpuLatentMetadata([], [], table, queries, queries, spans=spans)

    def to_latents() -> None:
        plain, rotated = query.split([PLAIN, ROTATED], dim=-1)
        latent = torch.bmm(plain.transpose(0, 1), to_latent).transpose(0, 1)
        result, _ = impl.forward_mqa((latent, rotated), cache, absorbed, None)
        torch.bmm(result.transpose(0, 1), to_value.transpose(1, 2))

    def to_keys() -> None:
        impl.forward_mha(query, None, None, cache, expanded, None, output)

    first, second = _milliseconds(to_latents), _milliseconds(to_keys)
    return {
        "queries": queries,
        "keys": keys,
        "to latents": first,
        "to keys and values": second,
        "of the former": second / first,
    }


def _milliseconds(attend: Callable[[], None]) -> float:
    import torch

    attend()
    best = float("inf")
    for _ in range(ROUNDS):
        torch.npu.synchronize()
        begin = time.perf_counter()
        attend()
        torch.npu.synchronize()
        best = min(best, 1e3 * (time.perf_counter() - begin))
    return best


if __name__ == "__main__":
    main()
