# SPDX-License-Identifier: Apache-2.0
"""A layer of experts on two ranks, for one of them: ``experts.py FILE``.

The ranks meet in the file. Each sends its tokens to the ranks of their experts, which multiply them
by a number of their own, and gets the results back. Rank 0 prints, as JSON, what both got.
"""

import functools
from typing import Any

import torch
import torch_npu
from _rank_program import RANK, WORLD, group_name, refusal, tell

__all__: list[str] = []

EXPERTS, K, HIDDEN, TOKENS = 6, 2, 32, 5
LOCAL = EXPERTS // WORLD


def inputs(seed: int, hidden: int = HIDDEN) -> tuple[torch.Tensor, ...]:
    """Tokens of this rank, their experts, and how much each expert counts."""
    generator = torch.Generator().manual_seed(10 * seed + RANK)
    x = torch.randint(-8, 8, (TOKENS, hidden), generator=generator).bfloat16()
    experts = torch.stack(
        [torch.randperm(EXPERTS, generator=generator)[:K] for _ in range(TOKENS)]
    ).int()
    weights = torch.randint(1, 5, (TOKENS, K), generator=generator).float()
    return x.npu(), experts.npu(), weights.npu()


def common() -> dict[str, Any]:
    return {
        "group_ep": group_name(),
        "ep_world_size": WORLD,
        "ep_rank_id": RANK,
        "moe_expert_num": EXPERTS,
    }


def experts_of_this_rank(rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Expert e multiplies by e + 1; the work of all rows is done on the device."""
    ends = counts.cumsum(0)
    places = torch.arange(rows.size(0), device=rows.device)
    owner = (places.unsqueeze(1) >= ends.unsqueeze(0)).sum(1)
    return rows * (owner + RANK * LOCAL + 1).to(rows.dtype).unsqueeze(1)


def layer(x, experts, weights, version, active=None, shared=None):
    """One layer by the operators of a version."""
    suffix = "" if version == 1 else "_v2"
    dispatch = getattr(torch_npu, "npu_moe_distribute_dispatch" + suffix)
    combine = getattr(torch_npu, "npu_moe_distribute_combine" + suffix)
    rows, _, info, counts, received, *_ = dispatch(x, experts, **common(), x_active_mask=active)
    rows = experts_of_this_rank(rows, counts)
    more = {} if shared is None else {"shared_expert_x": shared}
    return combine(rows, experts, info, received, weights, **common(), x_active_mask=active, **more)


def report(version: int) -> dict[str, Any]:
    x, experts, weights = inputs(0)
    return {
        "x": x.tolist(),
        "experts": experts.tolist(),
        "weights": weights.tolist(),
        "out": layer(x, experts, weights, version).tolist(),
    }


def masked_and_shared() -> dict[str, Any]:
    x, experts, weights = inputs(1)
    active = torch.tensor([True] * 3 + [False] * 2).npu()
    out = layer(x, experts, weights, 2, active, shared=x)
    return {
        "x": x.tolist(),
        "experts": experts.tolist(),
        "weights": weights.tolist(),
        "out": out.tolist(),
    }


def normalized() -> dict[str, Any]:
    """Combined with a residual and its norm, in one operator."""
    x, experts, weights = inputs(5, hidden=1024)
    rows, _, info, counts, received, *_ = torch_npu.npu_moe_distribute_dispatch_v2(
        x, experts, **common()
    )
    y, rstd, total = torch_npu.npu_moe_distribute_combine_add_rms_norm(
        experts_of_this_rank(rows, counts),
        experts,
        info,
        received,
        weights,
        x.unsqueeze(1),
        torch.full((1024,), 2.0, dtype=torch.bfloat16).npu(),
        **common(),
        norm_eps=0.5,
    )
    return {
        "x": x.tolist(),
        "experts": experts.tolist(),
        "weights": weights.tolist(),
        "y": y.squeeze(1).tolist(),
        "rstd": rstd.flatten().tolist(),
        "total": total.squeeze(1).tolist(),
    }


def received() -> dict[str, Any]:
    """What arrives, quantized: rows, scales and how many each expert has."""
    x, experts, _ = inputs(2)
    rows, scales, _, counts, *_ = torch_npu.npu_moe_distribute_dispatch_v2(
        x, experts, **common(), quant_mode=2
    )
    count = int(counts.sum())
    return {
        "x": x.tolist(),
        "experts": experts.tolist(),
        "rows": rows[:count].tolist(),
        "scales": scales[:count].tolist(),
        "counts": counts.tolist(),
    }


def graph() -> dict[str, Any]:
    """Replays with other tokens: other rows go to other ranks."""
    x, experts, weights = inputs(3)
    layer(x, experts, weights, 2)
    captured = torch.npu.NPUGraph()
    with torch.npu.graph(captured):
        out = layer(x, experts, weights, 2)
    for tensor, other in zip((x, experts, weights), inputs(4), strict=True):
        tensor.copy_(other)
    captured.replay()
    return {
        "x": x.tolist(),
        "experts": experts.tolist(),
        "weights": weights.tolist(),
        "out": out.tolist(),
    }


def refusals() -> list[str]:
    x, experts, _ = inputs(0)
    many = x[:1].repeat(257, 1), experts[:1].repeat(257, 1)
    calls = [
        (x, experts, {"group_ep": "nobody"}),
        (x, experts, {"moe_expert_num": 7}),
        (x, experts, {"quant_mode": 1}),
        (x, experts, {"zero_expert_num": 1}),
        (x, experts, {"shared_expert_rank_num": 1}),
        (x.float(), experts, {}),
        (x[:, :24].contiguous(), experts, {}),
        (*many, {}),
        (x, experts, {"moe_expert_num": 1026}),
    ]
    dispatch = torch_npu.npu_moe_distribute_dispatch_v2
    return [
        refusal(functools.partial(dispatch, rows, owners, **(common() | change)))
        for rows, owners, change in calls
    ]


def results() -> dict[str, Any]:
    return {
        "first": report(1),
        "second": report(2),
        "masked_and_shared": masked_and_shared(),
        "normalized": normalized(),
        "received": received(),
        "graph": graph(),
        "refusals": refusals(),
    }


if __name__ == "__main__":
    tell(results)
