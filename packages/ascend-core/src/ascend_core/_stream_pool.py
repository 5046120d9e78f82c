# SPDX-License-Identifier: Apache-2.0
"""Streams as a resource that runs out.

A device has about two thousand streams, for all of its users, and captured graphs take several
each. Whoever is about to take many asks here first, and is told before the work begins, not in the
middle of it, that they will not be enough.
"""

import threading
from types import TracebackType
from typing import Self

from ascend_core._device import Device
from ascend_core.errors import AclOutOfStreams

__all__ = ["StreamBudgetExceeded", "StreamLease", "StreamPool"]

_OUT_OF_STREAM_IDS = 207008
# What torch_npu takes when a program first uses a side stream (32 and one), and about as much again
# for a communicator that is made after the graphs: without it, the first request fails instead.
_DEFAULT_HEADROOM = 64


class StreamBudgetExceeded(AclOutOfStreams):
    """More streams were asked for than can be had.

    Parameters
    ----------
    needed
        How many were asked for.
    available
        How many could have been reserved.
    headroom
        How many the pool keeps back.
    leased
        How many are reserved already.
    """

    def __init__(self, needed: int, available: int, headroom: int, leased: int) -> None:
        detail = (
            f"{needed} streams are needed, {available} are available "
            f"({headroom} more are kept back, {leased} are reserved)"
        )
        super().__init__(_OUT_OF_STREAM_IDS, "StreamPool.reserve", detail)
        self.args = (needed, available, headroom, leased)
        self.needed = needed
        self.available = available
        self.headroom = headroom
        self.leased = leased


class StreamPool:
    """The streams of one device, as far as this process may use them.

    Safe to use from several threads. The numbers are those of `Device.streams_available` when it is
    asked: other processes may take streams at any moment.

    Parameters
    ----------
    device
        The device; its context should be open, or each question opens and closes one.
    limit
        The most this process may take from now on, for example a partition's share; None for all.
    headroom
        How many to keep back for what is not asked for here: side streams of torch_npu,
        communicators made later.
    """

    def __init__(
        self, device: Device, *, limit: int | None = None, headroom: int = _DEFAULT_HEADROOM
    ) -> None:
        self.device = device
        self.headroom = headroom
        self.total = device.streams_available()
        self._limit = self.total if limit is None else min(limit, self.total)
        self._leased = 0
        self._lock = threading.Lock()

    @property
    def leased(self) -> int:
        """How many are reserved at the moment."""
        return self._leased

    @property
    def available(self) -> int:
        """How many can be reserved now, never below 0."""
        left = self.device.streams_available()
        taken = max(0, self.total - left)
        return max(0, min(left, self._limit - taken) - self.headroom - self._leased)

    def reserve(self, count: int) -> "StreamLease":
        """Reserve streams that are about to be created.

        Parameters
        ----------
        count
            How many.

        Returns
        -------
        StreamLease
            To be released as soon as the streams exist: from then on the device counts them. It is
            a context manager.

        Raises
        ------
        StreamBudgetExceeded
            An `AclOutOfStreams` that says how many were needed and available.
        """
        with self._lock:
            available = self.available
            if count > available:
                raise StreamBudgetExceeded(count, available, self.headroom, self._leased)
            self._leased += count
        return StreamLease(self, count)

    def _give_back(self, count: int) -> None:
        with self._lock:
            self._leased -= count


class StreamLease:
    """A reservation; made by `StreamPool.reserve`.

    Parameters
    ----------
    pool
        Where it came from.
    count
        How many streams it is for.
    """

    def __init__(self, pool: StreamPool, count: int) -> None:
        self.count = count
        self._pool: StreamPool | None = pool
        self._lock = threading.Lock()

    def release(self) -> None:
        """Give the reservation back; harmless when done twice."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool._give_back(self.count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
