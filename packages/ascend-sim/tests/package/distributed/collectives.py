# SPDX-License-Identifier: Apache-2.0
"""A program of torch.distributed for one rank: ``collectives.py BACKEND FILE``.

The ranks meet in the file. Rank 0 prints, as JSON, what every rank got from every collective. With
``hccl`` the tensors are on NPUs and some operations are captured into a graph; with ``gloo`` they
are on the CPU.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__: list[str] = []

RANK, WORLD = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
BACKEND = sys.argv[1]
DEVICE = torch.device("npu", RANK) if BACKEND == "hccl" else torch.device("cpu")


def own(count: int = 6, dtype: torch.dtype = torch.float32) -> Tensor:
    return (torch.arange(count) * 3 + 10 * RANK + 1).to(dtype).to(DEVICE)


def empty(count: int) -> Tensor:
    return torch.zeros(count, device=DEVICE)


def many(count: int) -> list[Tensor]:
    return [empty(count) for _ in range(WORLD)]


def all_reduce() -> list[Tensor]:
    ops = (dist.ReduceOp.SUM, dist.ReduceOp.PRODUCT, dist.ReduceOp.MAX, dist.ReduceOp.MIN)
    results = [own() for _ in ops]
    for tensor, op in zip(results, ops, strict=True):
        dist.all_reduce(tensor, op)
    return results


def all_reduce_types() -> list[Tensor]:
    types = (torch.int8, torch.int32, torch.int64, torch.float16, torch.bfloat16)
    results = [own(5, dtype) for dtype in types]
    works = [dist.all_reduce(tensor, async_op=True) for tensor in results]
    for work in works:
        work.wait()
    return results


def reduce() -> list[Tensor]:
    tensor = own()
    dist.reduce(tensor, WORLD - 1)
    return [tensor] if RANK == WORLD - 1 else []  # elsewhere the result is not defined


def all_gather() -> list[Tensor]:
    parts, whole = many(6), empty(6 * WORLD)
    dist.all_gather(parts, own())
    dist.all_gather_into_tensor(whole, own())
    return [*parts, whole]


def all_gather_uneven() -> list[Tensor]:
    parts = [empty(rank + 1) for rank in range(WORLD)]
    if BACKEND == "hccl":
        dist.all_gather(parts, own(RANK + 1))
    else:  # gloo has no such thing
        parts[RANK] = own(RANK + 1)
        for rank, part in enumerate(parts):
            dist.broadcast(part, rank)
    return parts


def reduce_scatter() -> list[Tensor]:
    one, other = empty(3), empty(3)
    dist.reduce_scatter_tensor(one, own(3 * WORLD))
    dist.reduce_scatter(other, list(own(3 * WORLD).chunk(WORLD)))
    return [one, other]


def broadcast() -> list[Tensor]:
    tensor = own()
    dist.broadcast(tensor, WORLD - 1)
    return [tensor]


def scatter_and_gather() -> list[Tensor]:
    tensor, parts = empty(2), many(2)
    dist.scatter(tensor, list(own(2 * WORLD).chunk(WORLD)) if RANK == 0 else None, 0)
    dist.gather(tensor, parts if RANK == 0 else None, 0)
    return [tensor, *(parts if RANK == 0 else [])]


def all_to_all() -> list[Tensor]:
    whole, parts, uneven = empty(2 * WORLD), many(2), empty(sum(range(1, WORLD + 1)))
    dist.all_to_all_single(whole, own(2 * WORLD))
    dist.all_to_all(parts, list(own(2 * WORLD).chunk(WORLD)))
    sizes = list(range(1, WORLD + 1))  # rank i sends RANK + 1 elements to everybody
    dist.all_to_all_single(uneven, own(WORLD * (RANK + 1)), sizes, [RANK + 1] * WORLD)
    return [whole, *parts, uneven]


def point_to_point() -> list[Tensor]:
    right, left = (RANK + 1) % WORLD, (RANK - 1) % WORLD
    a, b = empty(6), empty(6)
    if RANK == 0:
        dist.send(own(), right)
        dist.recv(a, left)
    else:
        dist.recv(a, left)
        dist.send(own(), right)
    sends = dist.P2POp(dist.isend, own() * 2, right)
    receives = dist.P2POp(dist.irecv, b, left)
    for work in dist.batch_isend_irecv([sends, receives]):
        work.wait()
    return [a, b]


def subgroup() -> list[Tensor]:
    last = dist.new_group([WORLD - 1])
    everybody = dist.new_group(list(range(WORLD)))
    one, all_ = own(), own()
    if RANK == WORLD - 1:
        dist.all_reduce(one, group=last)
    dist.all_reduce(all_, group=everybody)
    return [one, all_]


def objects() -> list[Tensor]:
    gathered: list[Any] = [None] * WORLD
    dist.all_gather_object(gathered, {"rank": RANK, "text": "é" * (RANK + 1)})
    shared = [{"from": RANK}, "x" * 5000] if RANK == 0 else [None, None]
    dist.broadcast_object_list(shared, 0)
    dist.barrier()
    text = json.dumps([gathered, shared])
    return [torch.tensor(list(text.encode()), dtype=torch.uint8)]


def training() -> list[Tensor]:
    """Data-parallel training of a small network: all ranks end with the same weights."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    inputs, targets = torch.randn(WORLD, 3, 4)[RANK], torch.randn(WORLD, 3, 2)[RANK]
    model = torch.nn.parallel.DistributedDataParallel(network.to(DEVICE))
    for _ in range(3):
        model.zero_grad()
        difference = model(inputs.to(DEVICE)) - targets.to(DEVICE)
        (difference * difference).sum().backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight -= 0.1 * weight.grad
    return list(model.parameters())


def graph() -> list[Tensor]:
    """A captured all-reduce and all-gather, replayed with new input."""
    x, parts = own(), empty(6 * WORLD)

    def step() -> Tensor:
        y = x * 2
        dist.all_reduce(y)
        dist.all_gather_into_tensor(parts, y + RANK)
        return y + 1

    results = []
    if BACKEND == "hccl":
        step()  # communicators are made outside of captures
        captured = torch.npu.NPUGraph()
        with torch.npu.graph(captured):
            output = step()
    for value in (1, 2, 3):
        x.fill_(value + RANK)
        if BACKEND == "hccl":
            captured.replay()
        else:
            output = step()
        results += [output.clone(), parts.clone()]
    return results


PROGRAMS: tuple[Callable[[], list[Tensor]], ...] = (
    all_reduce,
    all_reduce_types,
    reduce,
    all_gather,
    all_gather_uneven,
    reduce_scatter,
    broadcast,
    scatter_and_gather,
    all_to_all,
    point_to_point,
    subgroup,
    objects,
    training,
    graph,
)


def main() -> None:
    if DEVICE.type == "npu":
        torch.npu.set_device(DEVICE)
    store = f"file://{sys.argv[2]}"
    dist.init_process_group(BACKEND, init_method=store, rank=RANK, world_size=WORLD)
    told = {}
    for program in PROGRAMS:
        told[program.__name__] = [t.detach().cpu().double().tolist() for t in program()]
    everything: list[Any] = [None] * WORLD
    dist.all_gather_object(everything, told)
    if RANK == 0:
        print(json.dumps(everything))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
