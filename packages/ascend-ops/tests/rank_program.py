# SPDX-License-Identifier: Apache-2.0
"""What one of two ranks gets from the other: ``rank_program.py STORE RANK DEVICE COUNTS``.

Prints JSON: the rows that it gathered, its rows of the sum, and the same twice of a graph that
captured both and was replayed on other rows.
"""

import json
import sys
from typing import Any

import torch
import torch.distributed as dist

import ascend_ops

__all__: list[str] = []

STORE, RANK, DEVICE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
COUNTS: list[int] = json.loads(sys.argv[4])


def rows(factor: int) -> torch.Tensor:
    """Rows of this rank, no two of them and of the other's alike."""
    first = sum(COUNTS[:RANK])
    return factor * torch.arange(2.0 * first, 2.0 * (first + COUNTS[RANK])).view(-1, 2)


def exchange(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    everything = ascend_ops.gather_rows(x, COUNTS)
    return everything, ascend_ops.sum_and_scatter_rows(everything * (RANK + 1), COUNTS)


def told(results: tuple[torch.Tensor, torch.Tensor]) -> list[Any]:
    return [result.tolist() for result in results]


def main() -> None:
    if DEVICE == "npu":
        torch.npu.set_device(RANK)
    backend = "hccl" if DEVICE == "npu" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{STORE}", rank=RANK, world_size=2)
    x = rows(1).to(DEVICE)
    results = [told(exchange(x))]
    if DEVICE == "npu":
        graph = torch.npu.NPUGraph()
        with torch.npu.graph(graph):
            captured = exchange(x)
        x.copy_(rows(3))
        graph.replay()
        results.append(told(captured))
    print(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
