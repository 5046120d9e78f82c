# SPDX-License-Identifier: Apache-2.0
"""Attention of requests one after the other in a tensor, with the log-sum-exp of its scores."""

from collections.abc import Sequence

import torch
from torch.library import Library, impl

from ascend_ops._attention_mask import CAUSAL_FROM_THE_RIGHT, causal_mask
from ascend_ops._errors import OperatorArgumentError

__all__ = ["packed_attention"]

_ALL_KEYS = 0  # sparse_mode

_library = Library("ascend", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(  # type: ignore[no-untyped-call]
    "packed_attention(Tensor query, Tensor key, Tensor value, int[] query_ends, int[] key_ends, "
    "float scale, bool causal) -> (Tensor, Tensor)"
)


def packed_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_ends: Sequence[int],
    key_ends: Sequence[int],
    scale: float,
    *,
    causal: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend to the keys of one's request.

    Parameters
    ----------
    query : Tensor of shape (queries, heads, key size)
        Requests one after the other.
    key : Tensor of shape (keys, heads, key size)
        Likewise.
    value : Tensor of shape (keys, heads, value size)
        Likewise.
    query_ends, key_ends : sequence of int
        Where the queries and the keys of each request end.
    scale : float
        Of the scores.
    causal : bool
        The last query of a request sees all its keys, the one before it all but the last, and so
        on. Otherwise every query sees all of them.

    Returns
    -------
    tuple of (Tensor of shape (queries, heads, value size), Tensor of shape (queries, heads))
        Results in the type of `query`, and the log-sum-exp of the scores in float32, with which
        `merge_attention` puts attention to parts of the keys together.

    Raises
    ------
    OperatorArgumentError
        Shapes, types or ends do not fit.

    Notes
    -----
    On the NPU: ``npu_fused_infer_attention_score`` with layout TND. A device takes keys of 192 with
    values of 128 (DeepSeek), and 64, 128 or 192 of both. In a graph the ends are those of its
    capture.
    """
    _check(query, key, value, query_ends, key_ends, causal)
    result: tuple[torch.Tensor, torch.Tensor] = torch.ops.ascend.packed_attention(
        query, key, value, query_ends, key_ends, scale, causal
    )
    return result


def _check(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_ends: Sequence[int],
    key_ends: Sequence[int],
    causal: bool,
) -> None:
    fits = (
        query.dim() == key.dim() == value.dim() == 3
        and query.shape[1:] == key.shape[1:]
        and key.shape[:2] == value.shape[:2]
        and query.dtype == key.dtype == value.dtype
    )
    if not fits:
        what = ", ".join(f"{each.dtype} {tuple(each.shape)}" for each in (query, key, value))
        raise OperatorArgumentError(
            "packed_attention", f"query, key and value must be [tokens, heads, size]: {what}"
        )
    for name, ends, rows in (("query_ends", query_ends, query), ("key_ends", key_ends, key)):
        if list(ends) != sorted(ends) or not ends or ends[0] < 0 or ends[-1] != len(rows):
            raise OperatorArgumentError(
                "packed_attention", f"{name} must increase to {len(rows)}: {list(ends)}"
            )
    lengths = [
        [end - start for start, end in zip([0, *ends], ends, strict=False)]
        for ends in (query_ends, key_ends)
    ]
    if len(query_ends) != len(key_ends) or (
        causal and any(queries > keys for queries, keys in zip(*lengths, strict=True))
    ):
        raise OperatorArgumentError(
            "packed_attention",
            f"each request needs as many keys as queries: {lengths[1]} and {lengths[0]}",
        )


@impl(_library, "packed_attention", "PrivateUse1")
def _on_npu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_ends: list[int],
    key_ends: list[int],
    scale: float,
    causal: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    result, log_sum_exp = torch.ops.npu.npu_fused_infer_attention_score(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        atten_mask=causal_mask(query.device) if causal else None,
        actual_seq_lengths=query_ends,
        actual_seq_lengths_kv=key_ends,
        num_heads=query.shape[1],
        num_key_value_heads=query.shape[1],
        scale=scale,
        input_layout="TND",
        sparse_mode=CAUSAL_FROM_THE_RIGHT if causal else _ALL_KEYS,
        softmax_lse_flag=True,
    )
    return result, log_sum_exp.squeeze(-1)


@impl(_library, "packed_attention", "CPU")
def _on_cpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_ends: list[int],
    key_ends: list[int],
    scale: float,
    causal: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    result, log_sum_exp = _on_meta(query, key, value)
    start = first = 0
    for end, stop in zip(query_ends, key_ends, strict=True):
        q, k, v = query[start:end].float(), key[first:stop].float(), value[first:stop].float()
        scores = torch.einsum("qhd,khd->qhk", q, k) * scale
        if causal:
            hidden = torch.ones(len(q), len(k), dtype=torch.bool).triu_(len(k) - len(q) + 1)
            scores.masked_fill_(hidden[:, None], float("-inf"))
        log_sum_exp[start:end] = scores.logsumexp(-1)
        result[start:end] = torch.einsum("qhk,khd->qhd", scores.softmax(-1), v)
        start, first = end, stop
    return result, log_sum_exp


@impl(_library, "packed_attention", "Meta")
def _on_meta(
    query: torch.Tensor, _key: torch.Tensor, value: torch.Tensor, *_arguments: object
) -> tuple[torch.Tensor, torch.Tensor]:
    return query.new_empty(*query.shape[:2], value.shape[2]), query.new_empty(
        query.shape[:2], dtype=torch.float32
    )
