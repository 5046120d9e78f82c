# SPDX-License-Identifier: Apache-2.0
"""How many of a device's streams are for this process, and how many it has taken."""

from dataclasses import dataclass
from pathlib import Path

from ascend_core import acl
from ascend_core._device import Device
from ascend_core._partition import Partition

__all__ = ["StreamBudget", "StreamSupply"]

_COUNTER = "aclrtGetStreamAvailableNum"
_COMMUNICATOR = 40
"""Streams of one HCCL communicator in its default mode."""


@dataclass(frozen=True, slots=True)
class StreamBudget:
    """How many streams may be taken for one purpose, such as graphs.

    Parameters
    ----------
    streams
        How many; 0 or more.
    origin
        Where the number comes from, for messages: "1984 streams available, less a reserve of 40".
    is_quota
        Whether others, or the user, count on it. Then streams count that the runtime could take
        back from idle graphs, too: it does so only for its own process.
    """

    streams: int
    origin: str
    is_quota: bool

    def __str__(self) -> str:
        return f"{self.streams} streams: {self.origin}"


class StreamSupply:
    """The streams of a device, watched from the start of a process.

    Make it before anything takes streams: what is gone since then counts as this process's own. If
    another process takes some meanwhile, the own use is overestimated, never underestimated.

    Parameters
    ----------
    device
        Needs a context for every query; see `Device`.
    root
        Of the partition's files; see `Partition.read`.

    Raises
    ------
    PartitionError
        If the container has a partition whose file is malformed.
    """

    def __init__(self, device: Device, *, root: Path | None = None) -> None:
        self._device = device
        self._partition = Partition.read(device.index, root=root)
        self._at_start = self.available()

    def available(self) -> int | None:
        """Ask how many more streams the device can give; None if CANN is too old to report it."""
        return self._device.streams_available() if acl.has(_COUNTER) else None

    def budget(self, reserve: int | None = None) -> StreamBudget | None:
        """Say how many of the streams that are left can be used.

        Parameters
        ----------
        reserve
            How many to leave for later use. None for 40, which one communicator takes, but no more
            than a quarter of what is left.

        Returns
        -------
        StreamBudget or None
            The smaller of two numbers, less the reserve: what the device has left, and what the
            partition's share of all its streams leaves beside the own use. None if CANN cannot
            report them.
        """
        available = self.available()
        if available is None or self._at_start is None:
            return None
        limit = self._device.stream_limit
        left = available if limit is None else min(available, limit)
        origin = f"{left} available"
        is_quota = self._partition is not None
        if self._partition is not None:
            total = limit or self._at_start
            share, own = self._partition.share_of(total), max(0, self._at_start - available)
            if share - own < left:
                left = max(0, share - own)
                origin = f"the partition's share of {share} of {total}, less {own} in use"
        if reserve is None:
            reserve = min(_COMMUNICATOR, left // 4)
        return StreamBudget(
            max(0, left - reserve), f"{origin}, less a reserve of {reserve}", is_quota
        )
