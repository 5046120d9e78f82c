# SPDX-License-Identifier: Apache-2.0
"""What the programs of two ranks have in common; imported by them, not by tests."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch_npu  # noqa: F401

__all__ = ["RANK", "WORLD", "group_name", "refusal", "tell"]

RANK, WORLD = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def group_name() -> str:
    """Name of the communicator of both ranks, as operators take it."""
    backend = dist.distributed_c10d._get_default_group()._get_backend(torch.device("npu"))
    return backend.get_hccl_comm_name(RANK)


def refusal(call: Callable[[], Any]) -> str:
    """Return the text of a refused call."""
    try:
        call()
        torch.npu.synchronize()
    except RuntimeError as error:
        return str(error)
    return "taken"


def tell(results: Callable[[], dict[str, Any]]) -> None:
    """Meet the other rank in the file that is the argument; rank 0 prints what both got."""
    torch.npu.set_device(RANK)
    dist.init_process_group(
        "hccl", init_method=f"file://{sys.argv[1]}", rank=RANK, world_size=WORLD
    )
    dist.all_reduce(torch.ones(1).npu())  # makes the communicator
    gathered: list[Any] = [None] * WORLD
    dist.all_gather_object(gathered, results())
    if RANK == 0:
        print(json.dumps(gathered))
    dist.destroy_process_group()
