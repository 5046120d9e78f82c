# SPDX-License-Identifier: Apache-2.0
"""The private parts of torch_npu that this package needs, each with the reason for it.

Everything here is absent from torch_npu's public face; no other module reaches below that face.
"""

import os
from functools import cache
from typing import Any

import torch
import torch_npu

__all__ = [
    "NativeGraph",
    "PoolToken",
    "abandon_pool_routing",
    "current_stream",
    "group_begin",
    "group_end",
    "launch_blocks",
    "npu",
    "release_pool",
    "replay",
    "set_stream",
    "task_queue_level",
    "update_begin",
    "update_end",
    "weak_tensor",
]

PoolToken = tuple[int, int]
"""What torch_npu calls a pool handle."""

npu: Any = torch_npu.npu
NativeGraph: Any = torch_npu.npu.NPUGraph

# The Python functions of the same meaning in torch_npu.npu.graphs add one call per task and step.
group_begin: Any = torch_npu._C._graph_task_group_begin
group_end: Any = torch_npu._C._graph_task_group_end
update_begin: Any = torch_npu._C._graph_task_update_begin
update_end: Any = torch_npu._C._graph_task_update_end
# NPUGraph.replay prepares a line of its log, which doubles what a replay costs.
replay: Any = torch_npu._C._NPUGraph.replay


def current_stream() -> Any:
    """Stream that operators of this thread go to, on the current device.

    `torch.npu.current_stream()` takes 30 us, most of it to look up the device; this takes 1 us.
    """
    return _stream(*torch_npu._C._npu_getCurrentStream(torch_npu._C._npu_getDevice()))


def set_stream(stream: Any) -> None:
    """Let operators of this thread go to a stream; `torch.npu.stream` takes 60 us more."""
    torch_npu._C._npu_setStream(
        stream_id=stream.stream_id,
        device_index=stream.device_index,
        device_type=stream.device_type,
    )


@cache
def _stream(stream_id: int, device_index: int, device_type: int) -> Any:
    return npu.Stream(stream_id=stream_id, device_index=device_index, device_type=device_type)


def weak_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Make a tensor over the same memory that does not keep it allocated.

    Parameters
    ----------
    tensor
        On an NPU. Whoever owns its memory must outlive the result.
    """
    weak: torch.Tensor = torch_npu._C._weak_ref_tensor(tensor)
    return weak


def task_queue_level() -> str:
    """Level of torch_npu's host-side task queue; it cannot capture at "2"."""
    return os.environ.get("TASK_QUEUE_ENABLE", "1")


def launch_blocks() -> bool:
    """Tell whether torch_npu waits for the end of whatever it launches.

    It has no query for that. It reads ASCEND_LAUNCH_BLOCKING once, at its first launch, and then
    reports a task queue at level 0; so where the level is not what the environment asks for now,
    the variable may have changed since.
    """
    if torch_npu.npu.get_task_queue_enable() != 0:
        return False
    blocking = os.environ.get("ASCEND_LAUNCH_BLOCKING", "0") not in ("", "0")
    return blocking or task_queue_level() != "0"


def abandon_pool_routing(device: int, token: PoolToken) -> None:
    """Undo the allocator state that a failed `capture_begin` leaves behind.

    `NPUGraph::capture_begin` routes allocations to the pool before it asks ACL to capture, and does
    not take that back if ACL refuses.
    """
    torch_npu._C._npu_endAllocateToPool(device, token)


def release_pool(device: int, token: PoolToken) -> None:
    """Give back the use of the pool that a failed capture took.

    `NPUGraph::reset` gives it back only for captures that succeeded.
    """
    torch_npu._C._npu_releasePool(device, token)
