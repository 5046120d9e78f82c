# SPDX-License-Identifier: Apache-2.0
"""Whether a replay or its updates are issued first.

"replay_first" overlaps the two: the graph starts, and runs up to the first task whose update is not
there yet. It needs a host that continues while the graph waits, and a device that serves the update
stream meanwhile. Where either is missing, such a graph would wait forever.
"""

import logging
from functools import cache
from typing import Literal

from ascend_core import Partition, PartitionError

from ascend_aclgraph import _native

__all__ = ["UpdateOrder", "order_that_works"]

_logger = logging.getLogger(__name__)

UpdateOrder = Literal["replay_first", "update_first"]
"""Whether a replay or its updates are issued first."""


def order_that_works(wanted: UpdateOrder, device: int) -> UpdateOrder:
    """Choose "update_first" where "replay_first" is known to wait forever.

    Parameters
    ----------
    wanted
        What the caller asked for.
    device
        Number of the device that replays.

    Returns
    -------
    UpdateOrder
        `wanted`, or "update_first" with one warning that gives the reason.
    """
    if wanted == "update_first":
        return wanted
    reason = _launch_blocking() or _soft_partition(device)
    if reason is None:
        return wanted
    _warn(reason)
    return "update_first"


def _launch_blocking() -> str | None:
    if not _native.launch_blocks():
        return None
    return (
        "ASCEND_LAUNCH_BLOCKING=1: torch_npu would not return from the replay of a graph that "
        "waits for its updates"
    )


def _soft_partition(device: int) -> str | None:
    """Give the reason from a soft partition (vllm-ascend #8317, #8636)."""
    try:
        partition = Partition.read(device)
    except PartitionError as error:
        return f"the device may be under a soft partition: {error}"
    if partition is None:
        return None
    return (
        "the device is under a soft partition: a graph that waits can keep its updates from running"
    )


@cache
def _warn(reason: str) -> None:
    _logger.warning(
        'graphs are replayed in the order "update_first", not "replay_first": %s.', reason
    )
