# SPDX-License-Identifier: Apache-2.0
"""Products beside a collective on two ranks, for one of them: ``products.py FILE``.

The ranks meet in the file. Numbers are small integers, of which every sum is exact in fp16. Rank 0
prints, as JSON, what both got.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch_npu

__all__: list[str] = []

RANK, WORLD = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
M, K, N = 6, 256, 8


def integers(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(10 * seed + RANK)
    return torch.randint(-2, 3, shape, generator=generator).half().npu()


def group_name() -> str:
    backend = dist.distributed_c10d._get_default_group()._get_backend(torch.device("npu"))
    return backend.get_hccl_comm_name(RANK)


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


def refusal(call: Callable[[], Any]) -> str:
    """Return the text of a refused call."""
    try:
        call()
        torch.npu.synchronize()
    except RuntimeError as error:
        return str(error)
    return "taken"


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


def main() -> None:
    torch.npu.set_device(RANK)
    dist.init_process_group(
        "hccl", init_method=f"file://{sys.argv[1]}", rank=RANK, world_size=WORLD
    )
    dist.all_reduce(torch.ones(1).npu())  # makes the communicator
    x1, x2, bias = integers(0, M, K), integers(1, K, N), integers(2, N)
    given = {"x1": x1, "x2": x2, "bias": bias} | results(x1, x2, bias)
    told = {
        **{name: tensor.tolist() for name, tensor in given.items()},
        "graph": graph(),
        "refusals": refusals(),
    }
    everything: list[Any] = [None] * WORLD
    dist.all_gather_object(everything, told)
    if RANK == 0:
        print(json.dumps(everything))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
