# SPDX-License-Identifier: Apache-2.0
"""Replay of a graph together with new arguments for its tasks.

The order on the device is kept by events, without the host waiting for the device:

- in the graph, an external event before each task holds it back until its update was written;
- on the update stream, the end of the previous replay of the graph holds back the next updates, so
  that they neither change a task that is still to run, nor let it go twice.

A graph that was started must be let go whatever happens on the host, or it waits forever, and with
it all that is issued after it.
"""

import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ascend_aclgraph import _native
from ascend_aclgraph._native import npu
from ascend_aclgraph._order import UpdateOrder, order_that_works
from ascend_aclgraph._task import HostArgs, Task, Update
from ascend_aclgraph._watchdog import ReplayWatch, watchdog
from ascend_aclgraph.errors import MissingHostArgError, UnknownHostArgError, UpdateError

__all__ = ["Updater"]


class Updater:
    """The tasks of one graph that have host arguments, and how a replay serves them.

    Parameters
    ----------
    tasks
        In the order of their capture, which is the order in which the graph reaches them.
    order
        "replay_first": the graph starts, and runs up to the first task whose update is not there
        yet. "update_first": the graph starts when all updates are written.
    label
        Of the graph, for messages.
    """

    def __init__(self, tasks: Iterable[Task], order: UpdateOrder, label: Hashable) -> None:
        self._tasks = tuple(tasks)
        self.records = tuple(task.record for task in self._tasks)
        device = npu.current_device()
        self._order = order_that_works(order, device)
        self._where = "the graph" if label is None else f"the graph {label!r}"
        updates = _update_stream(device)
        self._stream, self._turn = updates.stream, updates.turn
        self._replayed = npu.Event()
        self._written = npu.Event()
        self._pending = False
        self._watch = ReplayWatch(self._where, device, self._replayed)
        watchdog().add(self._watch)

    def stage(self, update: Update) -> None:
        """Check an update and keep it for the next replay.

        Raises
        ------
        UnknownHostArgError
            If it names something that no record has.
        MissingHostArgError
            If it leaves out a host argument or a record.
        """
        for task, values in zip(self._tasks, self._resolved(update), strict=True):
            task.kwargs.update(values)
        self._pending = True

    def replay(self, execute: Callable[[], None]) -> bool:
        """Issue the graph and the updates of its tasks, in order on the device.

        Parameters
        ----------
        execute
            Issues the graph on the current stream.

        Returns
        -------
        bool
            Whether new host arguments went with it.

        Raises
        ------
        UpdateError
            If an operator refused its new arguments. In the order "replay_first" the graph ran
            nevertheless, with earlier arguments for some tasks. It is in order for the next update.
        """
        main = _native.current_stream()
        updated = self._pending
        # torch_npu hands its streams out in turn, so the caller's may be the update stream.
        update_first = self._order == "update_first" or main == self._stream
        with self._turn:
            self._watch.begin()
            try:
                self._replayed.wait(self._stream)  # does nothing before the first replay
                if update_first:
                    self._serve(main)
                    self._written.record(self._stream)
                    self._written.wait(main)
                    execute()
                else:
                    execute()
                    self._serve(main)
                self._replayed.record(main)
                self._watch.issued()
            except BaseException:
                self._let_go(main)
                self._watch.forget()
                raise
        return updated

    def _serve(self, main: Any) -> None:
        """Write pending updates, and let the tasks of the replay go one after the other.

        Each event is recorded exactly once per replay: none may be left over for the next one.
        """
        _native.set_stream(self._stream)
        try:
            for task in self._tasks:
                if self._pending:
                    self._rewrite(task)
                task.event.record(self._stream)
        finally:
            _native.set_stream(main)
        self._pending = False

    def _rewrite(self, task: Task) -> None:
        try:
            _native.update_begin(self._stream, task.handle)
            try:
                task.op(**task.kwargs)
            except BaseException:
                with suppress(RuntimeError):  # an update without its task is refused: that ends it
                    _native.update_end(self._stream)
                raise
            _native.update_end(self._stream)
        except Exception as error:  # what an operator raises for bad arguments is not known here
            raise UpdateError(f"{self._where} could not be updated: {error}") from error

    def _let_go(self, main: Any) -> None:
        """Let all tasks of a replay go that failed or was interrupted between any two steps.

        On a stream outside torch_npu's task queue: once a task in the queue has failed, it drops
        all that follows without a word.
        """
        self._stream.synchronize()  # so the replays before this one have ended
        beside = npu.SyncLaunchStream()
        for task in self._tasks:
            task.event.record(beside)
        self._replayed.record(main)
        self._replayed.wait(self._stream)
        for event in (task.event for task in self._tasks):
            # Recorded twice perhaps. torch_npu's reset alone does nothing: its wait clears.
            event.record(self._stream)
            event.wait(self._stream)
            event.reset(self._stream)
        self._written.record(self._stream)
        self._written.wait(main)

    def _resolved(self, update: Update) -> list[HostArgs]:
        """Host arguments of each task, in order."""
        if callable(update):
            given = [update(record) for record in self.records]
        elif any(isinstance(value, Mapping) for value in update.values()):
            given = self._by_record(update)
        else:
            return self._broadcast(update)
        for record, values in zip(self.records, given, strict=True):
            _check_values(values, record.host_args, f"the record {record.name!r}")
        return given

    def _by_record(self, update: Mapping[str, Any]) -> list[HostArgs]:
        names = dict.fromkeys(record.name for record in self.records)
        for name in update:
            if name not in names:
                raise UnknownHostArgError(name, tuple(names), self._where)
        missing = [name for name in names if name not in update]
        if missing:
            raise MissingHostArgError(missing, self._where)
        return [update[name] for name in names]

    def _broadcast(self, values: HostArgs) -> list[HostArgs]:
        names = {name: None for record in self.records for name in record.host_args}
        _check_values(values, tuple(names), self._where)
        if all(len(record.host_args) == len(names) for record in self.records):
            return [values] * len(self.records)
        return [{name: values[name] for name in record.host_args} for record in self.records]


def _check_values(values: HostArgs, host_args: Collection[str], where: str) -> None:
    if len(values) == len(host_args) and all(name in values for name in host_args):
        return
    for name in values:
        if name not in host_args:
            raise UnknownHostArgError(name, host_args, where)
    raise MissingHostArgError([name for name in host_args if name not in values], where)


@dataclass(frozen=True, slots=True)
class _UpdateStream:
    """Stream of updates, and whose turn it is: updates of two threads must not mix on it."""

    stream: Any
    turn: threading.Lock = field(default_factory=threading.Lock)


@cache
def _update_stream(device: int) -> _UpdateStream:
    """Stream for the updates of all graphs of a device.

    One for all: separate ones for two models on one device have deadlocked (vllm-ascend #13600).
    """
    return _UpdateStream(npu.Stream(device=device))
