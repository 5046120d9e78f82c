# SPDX-License-Identifier: Apache-2.0
"""The experts of a mixture, applied to the tokens that chose them."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch.library import Library, impl

from ascend_ops._errors import OperatorArgumentError

__all__ = ["apply_experts"]

_COUNTS = 1  # expert_tokens_num_type and group_list_type: rows per expert, not where they end
_ROWS_IN_GROUPS = 0  # group_type
_ONE_OUTPUT = 2  # split_item

_library = Library("ascend", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(  # type: ignore[no-untyped-call]
    "apply_experts(Tensor x, Tensor gate_up, Tensor down, Tensor weights, Tensor experts, "
    "int first_expert, int num_experts) -> Tensor"
)


def apply_experts(
    x: torch.Tensor,
    gate_up: torch.Tensor,
    down: torch.Tensor,
    weights: torch.Tensor,
    experts: torch.Tensor,
    *,
    first_expert: int = 0,
    num_experts: int | None = None,
) -> torch.Tensor:
    """Add up what each token's experts make of it: ``down(silu(gate) * up)``, by weight.

    Parameters
    ----------
    x : Tensor of shape (tokens, hidden)
        Tokens, in the type of the experts.
    gate_up : Tensor of shape (held experts, 2 * intermediate, hidden)
        First product of each expert: the gate, then what it gates.
    down : Tensor of shape (held experts, hidden, intermediate)
        Second product of each expert.
    weights : Tensor of shape (tokens, top_k)
        Floating-point; rounded to the type of `x`.
    experts : Tensor of shape (tokens, top_k)
        int32, from 0 to `num_experts`; those of a token differ.
    first_expert : int
        Number of the first expert that is held. Those that are not held, on this device, add
        nothing.
    num_experts : int, optional
        How many there are on all devices; by default no others than those held.

    Returns
    -------
    Tensor of shape (tokens, hidden)
        In the type of `x`.

    Raises
    ------
    OperatorArgumentError
        Shapes or types do not fit.

    Notes
    -----
    On the NPU: ``npu_moe_init_routing_v2`` puts the rows in the order of their experts,
    ``npu_grouped_matmul`` takes the number of rows per expert on the device, and
    ``npu_moe_token_unpermute`` brings the results back. Shapes depend on shapes only and the host
    waits for nothing, so a graph can capture it.
    """
    held = gate_up.shape[0]
    total = first_expert + held if num_experts is None else num_experts
    _check(x, gate_up, down, weights, experts)
    if not 0 <= first_expert <= total - held:
        raise OperatorArgumentError(
            "apply_experts", f"experts {first_expert} to {first_expert + held} of {total} experts"
        )
    result: torch.Tensor = torch.ops.ascend.apply_experts(
        x, gate_up, down, weights, experts, first_expert, total
    )
    return result


def _check(
    x: torch.Tensor,
    gate_up: torch.Tensor,
    down: torch.Tensor,
    weights: torch.Tensor,
    experts: torch.Tensor,
) -> None:
    for name, tensor, dim in (("x", x, 2), ("gate_up", gate_up, 3), ("down", down, 3)):
        if tensor.dim() != dim or tensor.dtype != x.dtype:
            what = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise OperatorArgumentError(
                "apply_experts", f"{name} must be {x.dtype} of {dim} dimensions: {what}"
            )
    hidden, held, inner = x.shape[1], gate_up.shape[0], down.shape[2]
    if gate_up.shape != (held, 2 * inner, hidden) or down.shape != (held, hidden, inner):
        shapes = f"{tuple(gate_up.shape)} and {tuple(down.shape)}"
        raise OperatorArgumentError(
            "apply_experts", f"gate_up and down do not fit x of {hidden}: {shapes}"
        )
    if experts.dtype != torch.int32:
        raise OperatorArgumentError("apply_experts", f"experts must be int32, not {experts.dtype}")
    if experts.dim() != 2 or experts.shape[0] != x.shape[0] or experts.shape != weights.shape:
        shapes = f"{tuple(experts.shape)} and {tuple(weights.shape)}"
        raise OperatorArgumentError(
            "apply_experts", f"experts and weights must be [{x.shape[0]} tokens, top_k]: {shapes}"
        )


@impl(_library, "apply_experts", "PrivateUse1")
def _on_npu(
    x: torch.Tensor,
    gate_up: torch.Tensor,
    down: torch.Tensor,
    weights: torch.Tensor,
    experts: torch.Tensor,
    first_expert: int,
    num_experts: int,
) -> torch.Tensor:
    npu, held = torch.ops.npu, gate_up.shape[0]
    rows, places, counts, _ = npu.npu_moe_init_routing_v2(
        x,
        experts,
        active_num=experts.numel(),
        expert_num=num_experts,
        expert_tokens_num_type=_COUNTS,
        expert_tokens_num_flag=True,
        active_expert_range=[first_expert, first_expert + held],
    )
    gated = npu.npu_swiglu(_multiply(rows, gate_up, counts))
    results = _multiply(gated, down, counts)
    weights = weights.to(x.dtype)
    if held < num_experts:
        # Rows behind those of the experts held were not computed, and may hold anything.
        order = torch.arange(results.shape[0], device=x.device)
        results = results.masked_fill((order >= counts.sum())[:, None], 0)
        weights = weights.masked_fill((places < 0).view_as(weights), 0)
        places = places.clamp_min(0)
    combined: torch.Tensor = npu.npu_moe_token_unpermute(results, places, weights)
    return combined


def _multiply(rows: torch.Tensor, matrices: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Multiply the rows of each expert with its matrix, ``[experts, out, in]``.

    The operator wants [in, out], and takes a transposed view (npu_grouped_matmul.md).
    """
    products: torch.Tensor
    (products,) = torch.ops.npu.npu_grouped_matmul(
        [rows],
        [matrices.transpose(1, 2)],
        group_list=counts,
        split_item=_ONE_OUTPUT,
        group_type=_ROWS_IN_GROUPS,
        group_list_type=_COUNTS,
    )
    return products


@impl(_library, "apply_experts", "CPU")
def _on_cpu(
    x: torch.Tensor,
    gate_up: torch.Tensor,
    down: torch.Tensor,
    weights: torch.Tensor,
    experts: torch.Tensor,
    first_expert: int,
    num_experts: int,
) -> torch.Tensor:
    if experts.numel() and not 0 <= int(experts.min()) <= int(experts.max()) < num_experts:
        raise OperatorArgumentError("apply_experts", f"experts must be from 0 to {num_experts - 1}")
    weights = weights.to(x.dtype).float()
    total = torch.zeros(x.shape)
    for index, (first, second) in enumerate(zip(gate_up, down, strict=True)):
        tokens, places = (experts == first_expert + index).nonzero(as_tuple=True)
        gate, up = F.linear(x[tokens], first).chunk(2, dim=-1)
        results = F.linear(F.silu(gate) * up, second)
        total.index_add_(0, tokens, results * weights[tokens, places, None])
    return total.to(x.dtype)


@impl(_library, "apply_experts", "Meta")
def _on_meta(x: torch.Tensor, *_arguments: object) -> torch.Tensor:
    return torch.empty_like(x)
