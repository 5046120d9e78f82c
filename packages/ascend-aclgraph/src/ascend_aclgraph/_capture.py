# SPDX-License-Identifier: Apache-2.0
"""One capture, from the checks before it to the clean-up after it."""

import threading
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from ascend_core.errors import (
    AclCaptureError,
    AclError,
    AclOutOfEvents,
    AclOutOfMemory,
    AclOutOfResources,
    AclOutOfStreams,
    from_torch_error,
)

from ascend_aclgraph import _native
from ascend_aclgraph._keep import KeepAlive
from ascend_aclgraph._native import NativeGraph, npu
from ascend_aclgraph._options import CaptureErrorMode, CaptureOptions
from ascend_aclgraph._origin import origin_of
from ascend_aclgraph._pool import MemoryPool
from ascend_aclgraph._task import Task
from ascend_aclgraph._watchdog import watchdog
from ascend_aclgraph.errors import CaptureError

__all__ = ["Capture", "active_capture", "run_capture"]

_NOT_SUPPORTED = 207000
_STREAM_CAPTURED = 107027
_BEGIN = "aclmdlRICaptureBegin"
_END = "aclmdlRICaptureEnd"

_USED_UP = (AclOutOfMemory, AclOutOfStreams, AclOutOfEvents, AclOutOfResources)

_active = threading.local()


@dataclass
class Capture:
    """A capture under way, and what it leaves for the graph.

    Attributes
    ----------
    label
        What is being captured.
    pool
        Where it allocates.
    keep_alive
        Keeps the memory that the captured work touches.
    tasks
        Those with host arguments, in the order of their capture.
    native
        torch_npu's graph.
    result
        What the captured function returned.
    """

    label: Hashable
    pool: MemoryPool
    keep_alive: KeepAlive
    tasks: list[Task] = field(default_factory=list)
    native: Any = None
    result: Any = None


def active_capture() -> Capture | None:
    """Capture that this thread is in, or None."""
    return getattr(_active, "capture", None)


def run_capture(
    fn: Callable[[], Any], *, label: Hashable, pool: MemoryPool | None, options: CaptureOptions
) -> Capture:
    """Capture what `fn` issues on the stream of the options, or else of the pool.

    Without a pool, one is made.

    Raises
    ------
    CaptureError
        If it fails, for whatever reason; a later capture can succeed.
    """
    with _failing_as("the preparation of the capture", label):
        pool = pool or MemoryPool()
        stream = options.stream or pool.stream
    _check_before(label, stream)
    with _failing_as("the preparation of the capture", label):
        stream.wait_stream(_native.current_stream())
    with npu.stream(stream), torch.no_grad():
        with _failing_as("the warm-up of the captured function", label):
            for _ in range(options.warmup):
                fn()
            npu.synchronize()
        capture = Capture(label, pool, KeepAlive(pool), native=NativeGraph())
        pool.enter()
        try:
            _record(fn, capture, options.capture_error_mode)
        except BaseException:
            pool.leave()
            raise
    return capture


def _check_before(label: Hashable, stream: Any) -> None:
    """Refuse what is known to fail, before ACL or the allocator change state."""
    watchdog()  # a limit that is no number is an error before the capture
    if _native.task_queue_level() == "2":
        raise CaptureError(
            _NOT_SUPPORTED,
            _BEGIN,
            "torch_npu cannot capture with TASK_QUEUE_ENABLE=2.",
            label=label,
            advice=["set TASK_QUEUE_ENABLE=1 in the environment before Python starts"],
        )
    outer = active_capture()
    if outer is not None:
        raise CaptureError(
            _STREAM_CAPTURED,
            _BEGIN,
            f"this thread is already capturing {outer.label!r}; captures cannot nest.",
            label=label,
            advice=["capture all graphs before, or outside of, the function that is captured"],
        )
    if stream == npu.default_stream():
        raise CaptureError(
            _NOT_SUPPORTED,
            _BEGIN,
            "the default stream cannot be captured.",
            label=label,
            advice=["leave out `CaptureOptions.stream`, or pass a `torch.npu.Stream()`"],
        )
    with npu.stream(stream):
        if npu.is_current_stream_capturing():
            raise CaptureError(
                _STREAM_CAPTURED,
                _BEGIN,
                "the stream is in a capture that was begun elsewhere.",
                label=label,
                advice=["end that capture first, or capture on another stream"],
            )


@contextmanager
def _failing_as(step: str, label: Hashable) -> Iterator[None]:
    """Report whatever fails in a step before the capture as a failed capture."""
    try:
        yield
    except Exception as error:
        raise _failure(error, step, label) from _cause(error)


def _record(fn: Callable[[], Any], capture: Capture, mode: CaptureErrorMode) -> None:
    device = npu.current_device()
    try:
        capture.native.capture_begin(pool=capture.pool.token, capture_error_mode=mode)
    except Exception as error:
        capture.pool.abandon(device)
        raise _failure(error, _BEGIN, capture.label) from _cause(error)
    _active.capture = capture
    inner: BaseException | None = None
    try:
        with capture.keep_alive:
            capture.result = fn()
    except BaseException as error:  # the capture must end whatever happened in it
        inner = error
    finally:
        _active.capture = None
    outer = _end(capture, device)
    if inner is None and outer is None:
        return
    # The graph keeps nothing; its tasks hold handles and must go after it.
    capture.native.reset()
    capture.tasks.clear()
    capture.result = None
    if inner is not None and not isinstance(inner, Exception):
        raise inner
    if inner is None:
        assert outer is not None
        raise _failure(outer, _END, capture.label) from _cause(outer)
    # An error of torch_npu's task queue may have no code; the end of the capture then has one.
    inner.__context__ = inner.__context__ or outer
    raise _failure(inner, "the captured function", capture.label) from _cause(inner)


def _end(capture: Capture, device: int) -> BaseException | None:
    try:
        capture.native.capture_end()
    except Exception as error:
        _native.release_pool(device, capture.pool.token)
        return error
    return None


def _failure(error: BaseException, call: str, label: Hashable) -> CaptureError:
    acl = from_torch_error(error)
    if acl is None:
        detail = f"{type(error).__name__}: {error}"
        return CaptureError(
            0, call, detail, label=label, origin=origin_of(error), advice=_advice(None)
        )
    advice = acl.advice if isinstance(acl, CaptureError) else _advice(acl)
    if not call.startswith("acl"):
        call = acl.call  # the text of torch_npu knows better what failed inside
    detail = acl.detail or str(error)
    origin = "" if isinstance(acl, _USED_UP) else origin_of(error)
    return CaptureError(acl.code, call, detail, label=label, origin=origin, advice=advice)


def _cause(error: BaseException) -> BaseException | None:
    """Error to show above the failure that it caused: none where a resource is used up.

    It does not matter then who asked for it last, and torch_npu's text would speak of memory.
    """
    return None if isinstance(from_torch_error(error), _USED_UP) else error


def _advice(acl: AclError | None) -> Collection[str]:
    if acl is None:
        return ("run the function without capture, where its own error is easier to see",)
    if isinstance(acl, AclOutOfMemory):
        return (
            "capture fewer or smaller sizes, and let all graphs share one MemoryPool",
            "leave more device memory free before capturing",
        )
    if isinstance(acl, AclOutOfStreams):
        return (
            "capture fewer sizes: each graph binds streams",
            "use CANN 8.5 or newer, which binds them only while a graph runs",
        )
    remedy = (acl.entry.remedy,) if acl.entry else ()
    if not isinstance(acl, AclCaptureError):
        return (*remedy, *_advice(None))
    return (
        *remedy,
        "move what waits for the device out of the function (.item(), .cpu(), x[mask], print, "
        "synchronize)",
        "run without a graph",
    )
