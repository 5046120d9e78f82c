# SPDX-License-Identifier: Apache-2.0
"""One captured graph, and everything its replay touches."""

import os
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from ascend_core.errors import AscendError, from_torch_error
from torch.utils import _pytree as pytree

from ascend_aclgraph import _dump, _native
from ascend_aclgraph._capture import Capture, run_capture
from ascend_aclgraph._closing import Closing
from ascend_aclgraph._options import CaptureOptions
from ascend_aclgraph._pool import MemoryPool
from ascend_aclgraph._stats import DescriptorStats
from ascend_aclgraph._task import Update, UpdateRecord
from ascend_aclgraph._updater import Updater
from ascend_aclgraph.errors import GraphStateError, UpdateError

__all__ = ["Graph"]


class Graph(Closing):
    """Device work captured once and replayed with one call. Made by `Graph.capture`.

    Lifetime: a graph owns all that its replay touches. It holds the tensors that existed before
    the capture and that a PyTorch operator in it read or wrote; memory allocated in the capture
    belongs to its pool, which lives as long as a graph in it. So inputs may be deleted, and
    closures rebound, after the capture. Memory that captured work reaches in other ways (a kernel
    launched by ctypes) is not seen: pass its owner as `keep`.

    Order: a replay is work on the current stream, like any operator. Replays of one graph, or of
    graphs that share a pool, never overlap: one issued on another stream than the last waits for
    it. Two threads must not replay one graph at once; that raises `GraphStateError`.
    """

    _label: Hashable
    _capture: Capture | None
    _pool: MemoryPool
    _outputs: Any
    _kept: tuple[Any, ...]
    _updater: Updater | None
    _counts: DescriptorStats
    _busy: threading.Lock

    def __init__(self) -> None:
        raise TypeError("a Graph is made by Graph.capture(fn), or by GraphCache and graphed()")

    @classmethod
    def capture(
        cls,
        fn: Callable[[], Any],
        *,
        options: CaptureOptions | None = None,
        pool: MemoryPool | None = None,
        label: Hashable = None,
        counts: DescriptorStats | None = None,
    ) -> Self:
        """Capture the device work that a function issues.

        The function runs eagerly first, `CaptureOptions.warmup` times, and then once in capture,
        without autograd. What it does on the host happens only then, not at replay.

        Parameters
        ----------
        fn
            Called without arguments; what it returns is the graph's output (tensors in any nesting
            of tuples, lists and dicts).
        options
            How it is captured; by default `CaptureOptions()`.
        pool
            Where the capture allocates; by default memory of its own.
        label
            What is captured: a size, a descriptor. For messages and statistics.
        counts
            Where to count captures, replays and updates.

        Returns
        -------
        Graph
            Captured, not replayed: its outputs have no values yet.

        Raises
        ------
        CaptureError
            If it fails; the next capture can succeed.
        OptionError
            If `options` is no `CaptureOptions`.
        """
        began = time.perf_counter()
        options = CaptureOptions.of(options)
        capture = run_capture(fn, label=label, pool=pool, options=options)
        graph = cls.__new__(cls)
        graph._label = label
        graph._capture = capture
        graph._pool = capture.pool
        graph._outputs, capture.result = capture.result, None
        graph._kept = (capture.keep_alive, options.keep)
        tasks = capture.tasks
        graph._updater = Updater(tasks, options.order, label) if tasks else None
        graph._busy = threading.Lock()
        if not options.hold_outputs:
            graph.release_outputs()
        graph._counts = counts or DescriptorStats()
        graph._counts.captures += 1
        graph._counts.capture_seconds += time.perf_counter() - began
        return graph

    @property
    def label(self) -> Hashable:
        """What was captured, as given to `capture`."""
        return self._label

    @property
    def pool(self) -> MemoryPool:
        """Where the graph's memory comes from."""
        return self._pool

    @property
    def outputs(self) -> Any:
        """What the captured function returned; valid until another graph of the pool is replayed.

        Tensors in the graph's own memory do not keep it: do not use them after `close()`.
        """
        self._require_open()
        return self._outputs

    @property
    def records(self) -> tuple[UpdateRecord, ...]:
        """Tasks with host arguments, in the order of their capture."""
        return self._updater.records if self._updater else ()

    @property
    def closed(self) -> bool:
        """Whether the graph was closed."""
        return getattr(self, "_capture", None) is None

    def replay(self, update: Update | None = None) -> Any:
        """Run the captured work again on the current stream.

        Parameters
        ----------
        update
            New host arguments, as for `update`. Without it, tasks repeat their last ones.

        Returns
        -------
        Any
            `outputs`.

        Raises
        ------
        GraphStateError
            If the graph is closed, or another thread is replaying it.
        UpdateError
            If the update does not fit; nothing was replayed if it is about names.
        AclError
            If ACL refuses the replay: `AclOutOfStreams`, for one, where graphs take their streams
            at the first replay, as they do on CANN 8.5 and newer.
        """
        native = self._require_open().native
        if not self._busy.acquire(blocking=False):
            raise GraphStateError(
                f"{self!r} is being replayed by another thread. "
                "Capture a graph per thread, or use a lock."
            )
        try:
            if update is not None:
                self.update(update)
            self._pool.order_replay_on(_native.current_stream())
            self._counts.replays += 1
            if self._updater is None:
                _native.replay(native)
            else:
                execute = partial(_native.replay, native)
                self._counts.updates += self._updater.replay(execute)
        except RuntimeError as error:
            refused = None if isinstance(error, AscendError) else from_torch_error(error)
            if refused is None:
                raise
            raise refused from error
        finally:
            self._busy.release()
        return self._outputs

    def update(self, update: Update | None = None, /, **host_args: Any) -> None:
        """Give the next replay new host arguments.

        Parameters
        ----------
        update
            One mapping of host arguments for all records, or a mapping from each record's name to
            its own, or a function from a record to its own. Every host argument of every record is
            given.
        **host_args
            The first form, as keywords.

        Raises
        ------
        UnknownHostArgError
            If it names a record or an argument that does not exist.
        MissingHostArgError
            If it leaves one out.
        UpdateError
            If the graph has no record.
        """
        self._require_open()
        if self._updater is None:
            raise UpdateError(
                f"{self!r} has no task with host arguments: call the operator through updatable() "
                "in the captured function."
            )
        self._updater.stage(host_args if update is None else update)

    def writes_to(self, tensor: torch.Tensor) -> bool:
        """Tell whether a captured operator writes into a tensor's memory, as its schema says."""
        return self._require_open().keep_alive.wrote(tensor)

    def release_outputs(self) -> None:
        """Let other graphs of the pool use the memory of outputs that the options hold."""
        self._outputs = pytree.tree_map_only(torch.Tensor, self._pool.weak, self._outputs)

    def dump(self, path: str | os.PathLike[str]) -> Path:
        """Write the graph's tasks as a Chrome trace, which chrome://tracing and Perfetto show.

        Raises
        ------
        DumpError
            If it could not be written.
        """
        return _dump.dump(self._require_open().native, path)

    def close(self) -> None:
        """Wait for the last replay, then give back the graph and its memory. Idempotent."""
        capture = getattr(self, "_capture", None)
        if capture is None:
            return
        self._capture = None
        try:
            # Neither ACL nor the allocator waits for a running graph when it is destroyed.
            self._pool.wait_for_replay()
        finally:
            capture.native.reset()
            # Only now may its events and tensors go.
            self._updater = None
            self._outputs = None
            self._kept = ()
            self._pool.leave()

    def _require_open(self) -> Capture:
        if self._capture is None:
            raise GraphStateError(f"{self!r} is closed: its memory is gone. Capture it again.")
        return self._capture

    def __del__(self) -> None:
        with suppress(Exception):  # also at interpreter exit, when the device may be gone
            self.close()

    def __repr__(self) -> str:
        label = getattr(self, "_label", None)
        state = "closed" if self.closed else "captured"
        return f"<Graph {label!r}, {state}>" if label is not None else f"<Graph, {state}>"
