# SPDX-License-Identifier: Apache-2.0
"""Attention to parts of the keys, put together."""

from collections.abc import Sequence

import torch
from torch.library import Library, impl

from ascend_ops._errors import OperatorArgumentError

__all__ = ["merge_attention"]

_WITH_LOG_SUM_EXP = 1  # update_type

_library = Library("ascend", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(  # type: ignore[no-untyped-call]
    "merge_attention(Tensor[] results, Tensor[] log_sum_exps) -> (Tensor, Tensor)"
)


def merge_attention(
    parts: Sequence[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make of attention to parts of the keys attention to all of them.

    A part's results weigh as much as its scores: ``sum(exp(lse_i - lse) * result_i)`` where ``lse =
    log(sum(exp(lse_i)))``. The result is a part itself, so that parts can be added one by one.

    Parameters
    ----------
    parts : sequence of (Tensor of shape (queries, heads, size), Tensor of shape (queries, heads))
        Results, and the log-sum-exp of their scores in float32; all of the same queries, as
        `packed_attention` gives them. From one to 16.

    Returns
    -------
    tuple
        The same, of all keys.

    Raises
    ------
    OperatorArgumentError
        Shapes or types do not fit.

    Notes
    -----
    On the NPU: ``npu_attention_update``.
    """
    results, log_sum_exps = ([part[index] for part in parts] for index in range(2))
    if not 1 <= len(parts) <= 16:
        raise OperatorArgumentError("merge_attention", f"1 to 16 parts, not {len(parts)}")
    for result, log_sum_exp in parts:
        fits = (
            result.shape == results[0].shape
            and result.dtype == results[0].dtype
            and log_sum_exp.shape == result.shape[:2]
            and log_sum_exp.dtype == torch.float32
        )
        if not fits:
            what = f"{result.dtype} {tuple(result.shape)}, {log_sum_exp.dtype} "
            raise OperatorArgumentError(
                "merge_attention",
                "parts must be [queries, heads, size] and float32 [queries, heads], all alike: "
                f"{what}{tuple(log_sum_exp.shape)}",
            )
    merged: tuple[torch.Tensor, torch.Tensor] = torch.ops.ascend.merge_attention(
        results, log_sum_exps
    )
    return merged


@impl(_library, "merge_attention", "PrivateUse1")
def _on_npu(
    results: list[torch.Tensor], log_sum_exps: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    result, log_sum_exp = torch.ops.npu.npu_attention_update(
        [each.flatten() for each in log_sum_exps],
        [each.flatten(0, 1) for each in results],
        _WITH_LOG_SUM_EXP,
    )
    return result.view_as(results[0]), log_sum_exp.view_as(log_sum_exps[0])


@impl(_library, "merge_attention", "CPU")
def _on_cpu(
    results: list[torch.Tensor], log_sum_exps: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    each = torch.stack(log_sum_exps)
    total = each.logsumexp(0)
    weights = (each - total).exp()[..., None]
    merged = (torch.stack(results).float() * weights).sum(0)
    return merged.to(results[0].dtype), total


@impl(_library, "merge_attention", "Meta")
def _on_meta(
    results: list[torch.Tensor], log_sum_exps: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.empty_like(results[0]), torch.empty_like(log_sum_exps[0])
