# SPDX-License-Identifier: Apache-2.0
"""A replay that never ends becomes an error.

A graph whose updates cannot run would hang its program without a word: CANN's waits for a word of
memory, which torch_npu's external events are, have no time limit. A thread looks for such replays
and stops their device, so that whatever waits for it raises.
"""

import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass
from functools import cache
from typing import Any

from ascend_core import OptionError

from ascend_aclgraph._native import npu

__all__ = ["ReplayWatch", "Watchdog", "watchdog"]

_logger = logging.getLogger(__name__)

VARIABLE = "ASCEND_ACLGRAPH_REPLAY_LIMIT"
DEFAULT = 600.0


@dataclass(slots=True)
class _Replay:
    begun: float
    issued: bool = False


class ReplayWatch:
    """What the watchdog knows of the replays of one graph.

    Parameters
    ----------
    graph
        What the graph is called in messages.
    device
        That it runs on.
    ended
        Event that is recorded after each replay.
    """

    __slots__ = ("__weakref__", "_ended", "_latest", "device", "graph")

    def __init__(self, graph: str, device: int, ended: Any) -> None:
        self.graph = graph
        self.device = device
        self._ended = ended
        self._latest: _Replay | None = None

    def begin(self) -> None:
        """Note that a replay is about to be issued."""
        self._latest = _Replay(time.monotonic())

    def issued(self) -> None:
        """Note that the replay was issued, and the event after it."""
        assert self._latest is not None
        self._latest.issued = True

    def forget(self) -> None:
        """Note that there is no replay to wait for."""
        self._latest = None

    def overdue(self, limit: float) -> bool:
        """Tell whether a replay that began `limit` seconds ago has not ended."""
        replay = self._latest
        if replay is None or time.monotonic() - replay.begun < limit:
            return False
        ended = replay.issued and self._has_ended()
        return not ended and self._latest is replay  # the event may be of a later one by now

    def _has_ended(self) -> bool:
        try:
            return bool(self._ended.query())
        except RuntimeError:  # the device has failed, and the replay may still hold it
            return False


class Watchdog:
    """Looks now and then for replays that are overdue, in a thread of its own.

    Parameters
    ----------
    limit
        Seconds from the beginning of a replay to its end on the device; 0 watches nothing.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._watches: weakref.WeakSet[ReplayWatch] = weakref.WeakSet()
        self._lock = threading.Lock()
        if limit:
            threading.Thread(target=self._patrol, name="aclgraph-watchdog", daemon=True).start()

    def add(self, watch: ReplayWatch) -> None:
        """Watch the replays of a graph for as long as somebody keeps `watch`."""
        with self._lock:
            self._watches.add(watch)

    def _patrol(self) -> None:
        while True:
            time.sleep(self._limit / 10)
            with self._lock:
                watches = list(self._watches)
            for watch in watches:
                if watch.overdue(self._limit):
                    self._stop(watch)

    def _stop(self, watch: ReplayWatch) -> None:
        watch.forget()
        _logger.error(
            "a replay of %s has not ended within %g s: its updates did not run, or work before it "
            "takes longer. Device %d is stopped, so that whatever waits for it raises. Look for an "
            "error before this one; %s sets the seconds (0: no limit).",
            watch.graph,
            self._limit,
            watch.device,
            VARIABLE,
        )
        npu.set_device(watch.device)  # of this thread
        npu.stop_device(watch.device)


@cache
def watchdog() -> Watchdog:
    """Return the process's watchdog, with the limit of ASCEND_ACLGRAPH_REPLAY_LIMIT.

    Raises
    ------
    OptionError
        If the variable is not a number of seconds.
    """
    text = os.environ.get(VARIABLE, str(DEFAULT))
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < threading.TIMEOUT_MAX:
        raise OptionError(VARIABLE, text, "it is not a number of seconds", "0 (no limit) or more")
    return Watchdog(limit)
