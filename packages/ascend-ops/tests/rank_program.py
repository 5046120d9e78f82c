# SPDX-License-Identifier: Apache-2.0
"""What one of two ranks gets from the other: ``rank_program.py STORE RANK DEVICE CASES``.

A case is how many rows each rank has. Prints JSON: for each case the rows that this rank gathered
and its rows of the sum; on an NPU also what a graph gave that captured both, and was replayed on
other rows.
"""

import json
import sys
from typing import Any

import torch
import torch.distributed as dist

import ascend_ops

__all__: list[str] = []

STORE, RANK, DEVICE = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def exchange(x: torch.Tensor, counts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    everything = ascend_ops.gather_rows(x, counts)
    return everything, ascend_ops.sum_and_scatter_rows(everything * (RANK + 1), counts)


def told(results: tuple[torch.Tensor, torch.Tensor]) -> list[Any]:
    return [result.tolist() for result in results]


def results_of(counts: list[int]) -> list[Any]:
    """Exchange rows of which no two are alike, and three times them in a graph."""
    first = sum(counts[:RANK])
    rows = torch.arange(2.0 * first, 2.0 * (first + counts[RANK])).view(-1, 2)
    x = rows.to(DEVICE)
    results = [told(exchange(x, counts))]
    if DEVICE == "npu":
        graph = torch.npu.NPUGraph()
        with torch.npu.graph(graph):
            captured = exchange(x, counts)
        x.copy_(3 * rows)
        graph.replay()
        results.append(told(captured))
    return results


def main() -> None:
    if DEVICE == "npu":
        torch.npu.set_device(RANK)
    backend = "hccl" if DEVICE == "npu" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{STORE}", rank=RANK, world_size=2)
    print(json.dumps([results_of(counts) for counts in json.loads(sys.argv[4])]))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
