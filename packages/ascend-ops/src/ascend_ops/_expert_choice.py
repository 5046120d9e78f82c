# SPDX-License-Identifier: Apache-2.0
"""Which experts of a mixture a token goes to, and with which weights."""

from typing import Literal, get_args

import torch
from torch.library import Library, impl

from ascend_ops._errors import OperatorArgumentError

__all__ = ["Scoring", "choose_experts"]

Scoring = Literal["softmax", "sigmoid"]
"""How logits become scores: over all experts together, or each by itself."""

_SCORINGS = get_args(Scoring)
_TINY = 1e-20  # added to sums of sigmoids: the default of npu_moe_gating_top_k

_library = Library("ascend", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(  # type: ignore[no-untyped-call]
    "choose_experts(Tensor logits, int top_k, *, str scoring, bool renormalize, float scale, "
    "int groups, int top_groups, int best_of_group, Tensor? bias) -> (Tensor, Tensor)"
)


def choose_experts(
    logits: torch.Tensor,
    top_k: int,
    *,
    scoring: Scoring = "softmax",
    renormalize: bool = True,
    scale: float = 1.0,
    groups: int = 1,
    top_groups: int = 1,
    best_of_group: int = 1,
    bias: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose the experts of every token.

    Those with the largest score, plus bias if there is one; of equal ones the first. With groups,
    only experts of the best groups are open to choice.

    Parameters
    ----------
    logits : Tensor of shape (tokens, experts)
        What the gate gives, of any floating-point type. Computed with in float32.
    top_k : int
        Experts per token.
    scoring : {"softmax", "sigmoid"}
        How logits become scores.
    renormalize : bool
        Whether the weights of a token's experts add up to 1, before they are scaled.
    scale : float
        Factor of all weights.
    groups : int
        Groups of equal size into which the experts are divided, in their order.
    top_groups : int
        Groups that a token's experts may be of.
    best_of_group : {1, 2}
        How many of a group's largest scores, added up, are the score of the group.
    bias : Tensor of shape (experts,), optional
        Added to the scores for the choice alone, and not to the weights.

    Returns
    -------
    weights : Tensor of shape (tokens, top_k)
        float32, in the order of the choice.
    experts : Tensor of shape (tokens, top_k)
        int32.

    Raises
    ------
    OperatorArgumentError
        A shape or a number does not fit the others.

    Notes
    -----
    On the NPU this is ``npu_moe_gating_top_k``, which takes groups of more than two experts, and at
    most 2048 experts. It is safe in a graph capture.
    """
    _check(logits, top_k, scoring, groups, top_groups, best_of_group, bias)
    chosen: tuple[torch.Tensor, torch.Tensor] = torch.ops.ascend.choose_experts(
        logits,
        top_k,
        scoring=scoring,
        renormalize=renormalize,
        scale=scale,
        groups=groups,
        top_groups=top_groups,
        best_of_group=best_of_group,
        bias=bias,
    )
    return chosen


def _check(
    logits: torch.Tensor,
    top_k: int,
    scoring: str,
    groups: int,
    top_groups: int,
    best_of_group: int,
    bias: torch.Tensor | None,
) -> None:
    if logits.dim() != 2 or not logits.is_floating_point():
        what = f"{logits.dtype} of shape {tuple(logits.shape)}"
        raise OperatorArgumentError(
            "choose_experts", f"logits must be a floating-point matrix, not {what}"
        )
    count = logits.shape[1]
    if scoring not in _SCORINGS:
        raise OperatorArgumentError(
            "choose_experts", f"scoring must be one of {_SCORINGS}, not {scoring!r}"
        )
    if best_of_group not in (1, 2):
        raise OperatorArgumentError(
            "choose_experts", f"best_of_group must be 1 or 2, not {best_of_group}"
        )
    if groups < 1 or count % groups:
        raise OperatorArgumentError(
            "choose_experts", f"groups = {groups} does not divide {count} experts"
        )
    if not 1 <= top_groups <= groups:
        raise OperatorArgumentError(
            "choose_experts", f"top_groups = {top_groups} of {groups} groups"
        )
    open_to_choice = count // groups * top_groups
    if not 1 <= top_k <= open_to_choice:
        raise OperatorArgumentError(
            "choose_experts", f"top_k = {top_k} of {open_to_choice} experts"
        )
    if bias is not None and bias.shape != (count,):
        raise OperatorArgumentError(
            "choose_experts", f"bias must have shape ({count},), not {tuple(bias.shape)}"
        )


@impl(_library, "choose_experts", "PrivateUse1")
def _on_npu(
    logits: torch.Tensor,
    top_k: int,
    *,
    scoring: str,
    renormalize: bool,
    scale: float,
    groups: int,
    top_groups: int,
    best_of_group: int,
    bias: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    # The operator always divides sigmoids by their sum, and softmax never.
    divides = scoring == "sigmoid"
    weights, experts, scores = torch.ops.npu.npu_moe_gating_top_k(
        logits.float(),
        top_k,
        bias=None if bias is None else bias.float(),
        k_group=top_groups,
        group_count=groups,
        group_select_mode=best_of_group - 1,
        norm_type=int(divides),
        out_flag=divides and not renormalize,
        routed_scaling_factor=scale if renormalize == divides else 1.0,
        eps=_TINY,
    )
    if divides and not renormalize:
        weights = scores.gather(1, experts.long()) * scale
    elif renormalize and not divides:
        weights = weights * (scale / weights.sum(-1, keepdim=True))
    return weights, experts


@impl(_library, "choose_experts", "CPU")
def _on_cpu(
    logits: torch.Tensor,
    top_k: int,
    *,
    scoring: str,
    renormalize: bool,
    scale: float,
    groups: int,
    top_groups: int,
    best_of_group: int,
    bias: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    values = logits.float()
    scores = values.softmax(-1) if scoring == "softmax" else values.sigmoid()
    ranked = scores if bias is None else scores + bias.float()
    grouped = ranked.view(len(ranked), groups, ranked.shape[1] // groups)
    of_groups = (
        grouped.topk(best_of_group, dim=-1).values.sum(-1) if groups > 1 else grouped[..., 0]
    )
    best = of_groups.argsort(dim=-1, descending=True, stable=True)[:, :top_groups]
    is_open = torch.zeros_like(of_groups, dtype=torch.bool).scatter(1, best, value=True)
    ranked = grouped.where(is_open[..., None], -torch.inf).flatten(1)
    experts = ranked.argsort(dim=-1, descending=True, stable=True)[:, :top_k]
    weights = scores.gather(1, experts)
    if renormalize:
        weights = weights / (weights.sum(-1, keepdim=True) + _TINY)
    return weights * scale, experts.int()


@impl(_library, "choose_experts", "Meta")
def _on_meta(
    logits: torch.Tensor, top_k: int, **_options: object
) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (logits.shape[0], top_k)
    return logits.new_empty(shape, dtype=torch.float32), logits.new_empty(shape, dtype=torch.int32)
