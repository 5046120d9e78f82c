# SPDX-License-Identifier: Apache-2.0
"""Products beside a collective on two ranks, for one of them: ``products.py FILE``.

The ranks meet in the file. Numbers are small integers, of which every sum is exact in fp16. Rank 0
prints, as JSON, what both got.
"""

from typing import Any

import torch
import torch_npu
from _rank_program import RANK, WORLD, group_name, refusal, tell

__all__: list[str] = []

M, K, N = 6, 256, 8


def integers(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(10 * seed + RANK)
    return torch.randint(-2, 3, shape, generator=generator).half().npu()


def results(x1: torch.Tensor, x2: torch.Tensor, bias: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the operators give."""
    name, x3 = group_name(), integers(3, M, N)
    gathered = torch_npu.npu_all_gather_base_mm(x1, x2, name, WORLD, bias=bias)
    return {
        "x3": x3,
        "all_reduce": torch_npu.npu_mm_all_reduce_base(x1, x2, name),
        "all_reduce_of_three": torch_npu.npu_mm_all_reduce_base(
            x1.view(2, M // 2, K), x2, name, bias=bias, x3=x3.view(2, M // 2, N)
        ),
        "reduce_scatter": torch_npu.npu_mm_reduce_scatter_base(x1, x2, name, WORLD),
        "all_gather": gathered[0],
        "gathered": gathered[1],
    }


def graph() -> dict[str, Any]:
    """Replays with other numbers."""
    x1, x2, bias = integers(0, M, K), integers(1, K, N), integers(2, N)
    results(x1, x2, bias)
    captured = torch.npu.NPUGraph()
    with torch.npu.graph(captured):
        out = torch_npu.npu_mm_reduce_scatter_base(x1, x2, group_name(), WORLD)
    x1.copy_(integers(4, M, K))
    captured.replay()
    return {"x1": x1.tolist(), "x2": x2.tolist(), "reduce_scatter": out.tolist()}


def refusals() -> list[str]:
    x1, x2, name = integers(0, M, K), integers(1, K, N), group_name()
    reduce, scatter = torch_npu.npu_mm_all_reduce_base, torch_npu.npu_mm_reduce_scatter_base
    return [
        refusal(lambda: reduce(x1, x2, "nobody")),
        refusal(lambda: reduce(x1.float(), x2.float(), name)),
        refusal(lambda: reduce(x1, x2.bfloat16(), name)),
        refusal(lambda: reduce(x1, x2, name, bias=integers(2, N + 1))),
        refusal(lambda: scatter(x1[:, :255].contiguous(), x2[:255], name, WORLD)),
    ]


def told() -> dict[str, Any]:
    x1, x2, bias = integers(0, M, K), integers(1, K, N), integers(2, N)
    tensors = {"x1": x1, "x2": x2, "bias": bias} | results(x1, x2, bias)
    return {
        **{name: tensor.tolist() for name, tensor in tensors.items()},
        "graph": graph(),
        "refusals": refusals(),
    }


if __name__ == "__main__":
    tell(told)
