# SPDX-License-Identifier: Apache-2.0
"""Latent attention with keys and values made for all heads, from latents in a paged cache."""

from collections.abc import Callable, Iterable

import torch
from torch.library import Library, impl

from ascend_ops._errors import OperatorArgumentError
from ascend_ops._key_spans import KeySpan
from ascend_ops._merged_attention import merge_attention
from ascend_ops._packed_attention import packed_attention
from ascend_ops._paged_cache import LatentCache

__all__ = ["attend_expanded", "gather_latents"]

_library = Library("ascend", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(  # type: ignore[no-untyped-call]
    "gather_latents(Tensor latents, Tensor rotated, Tensor block_table, Tensor lengths, int total) "
    "-> (Tensor, Tensor)"
)


def attend_expanded(
    query: torch.Tensor,
    cache: LatentCache,
    expand: Callable[[torch.Tensor], torch.Tensor],
    spans: Iterable[KeySpan],
    scale: float,
    output: torch.Tensor,
) -> None:
    """Attend to keys and values that are made of latents, span by span.

    Parameters
    ----------
    query : Tensor of shape (queries, heads, plain + rotated)
        Not multiplied into the space of latents.
    cache
        Latents, those of the queries included.
    expand
        Multiplies latents, ``[keys, rank]``, to ``[keys, heads * (plain + value)]``: of each head
        the part of the key that is not rotated, and the value.
    spans
        From `key_spans`, which bound how much memory is needed at once.
    scale : float
        Of the scores.
    output : Tensor of shape (queries, heads, value)
        Is written, in the rows of the spans.
    """
    so_far = None
    for span in spans:
        part = _attend(query[span.rows], cache, expand, span, scale, output.shape[2])
        so_far = part if so_far is None else merge_attention([so_far, part])
        if span.is_last:
            output[span.rows] = so_far[0]
            so_far = None


def _attend(
    query: torch.Tensor,
    cache: LatentCache,
    expand: Callable[[torch.Tensor], torch.Tensor],
    span: KeySpan,
    scale: float,
    value_size: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend to one span; a function, so that its keys and values are freed before the next."""
    key, value = _keys_and_values(cache, expand, span, query.shape[1], value_size)
    return packed_attention(
        query, key, value, span.query_ends, span.key_ends, scale, causal=span.is_last
    )


def _keys_and_values(
    cache: LatentCache,
    expand: Callable[[torch.Tensor], torch.Tensor],
    span: KeySpan,
    heads: int,
    value_size: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    latents, rotated = gather_latents(cache, span.block_table, span.lengths, span.key_ends[-1])
    expanded = expand(latents).view(len(latents), heads, -1)
    plain, value = expanded[..., :-value_size], expanded[..., -value_size:]
    key = torch.cat([plain, rotated.unsqueeze(1).expand(-1, heads, -1)], dim=-1)
    return key, value.contiguous()


def gather_latents(
    cache: LatentCache, block_table: torch.Tensor, lengths: torch.Tensor, total: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the latents of some requests, one after the other.

    Parameters
    ----------
    cache
        Of a layer.
    block_table : Tensor of shape (requests, blocks)
        int32: numbers of the blocks that are read.
    lengths : Tensor of shape (requests,)
        int32: tokens of each request, from the first of its first block on.
    total : int
        Their sum, which the host knows.

    Returns
    -------
    tuple of (Tensor of shape (total, rank), Tensor of shape (total, rotated))
        Latents, and the parts that are rotated.

    Raises
    ------
    OperatorArgumentError
        Shapes or types do not fit; on the CPU also numbers.

    Notes
    -----
    On the NPU: ``npu_gather_pa_kv_cache``, for which latents are keys and the other parts values.
    """
    if lengths.dim() != 1 or block_table.dim() != 2 or len(block_table) != len(lengths):
        shapes = f"{tuple(block_table.shape)} and {tuple(lengths.shape)}"
        raise OperatorArgumentError(
            "gather_latents", f"block_table and lengths must be [requests, ...]: {shapes}"
        )
    if not block_table.dtype == lengths.dtype == torch.int32:
        raise OperatorArgumentError(
            "gather_latents",
            f"block_table and lengths must be int32: {block_table.dtype}, {lengths.dtype}",
        )
    result: tuple[torch.Tensor, torch.Tensor] = torch.ops.ascend.gather_latents(
        cache.latents, cache.rotated, block_table, lengths, total
    )
    return result


@impl(_library, "gather_latents", "PrivateUse1")
def _on_npu(
    latents: torch.Tensor,
    rotated: torch.Tensor,
    block_table: torch.Tensor,
    lengths: torch.Tensor,
    total: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    gathered = _on_meta(latents, rotated, block_table, lengths, total)
    torch.ops.npu.npu_gather_pa_kv_cache(
        latents.unsqueeze(2),
        rotated.unsqueeze(2),
        block_table,
        lengths,
        *(part.unsqueeze(1) for part in gathered),
    )
    return gathered


@impl(_library, "gather_latents", "CPU")
def _on_cpu(
    latents: torch.Tensor,
    rotated: torch.Tensor,
    block_table: torch.Tensor,
    lengths: torch.Tensor,
    total: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    if int(lengths.sum()) != total:
        raise OperatorArgumentError(
            "gather_latents", f"lengths add up to {int(lengths.sum())}, not {total}"
        )
    requests = list(zip(block_table.long(), lengths.tolist(), strict=True))
    first, second = (
        torch.cat([part[blocks].flatten(0, 1)[:length] for blocks, length in requests])
        for part in (latents, rotated)
    )
    return first, second


@impl(_library, "gather_latents", "Meta")
def _on_meta(
    latents: torch.Tensor,
    rotated: torch.Tensor,
    _block_table: torch.Tensor,
    _lengths: torch.Tensor,
    total: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    return latents.new_empty(total, latents.shape[2]), rotated.new_empty(total, rotated.shape[2])
