# SPDX-License-Identifier: Apache-2.0
"""What a process changes of its simulator while it runs: faults, hooks, limits, the chaos seed."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from ascend_sim._config import Limits, SimConfig
from ascend_sim._errors import ConfigError
from ascend_sim._fault import Fault
from ascend_sim._library import library_path

__all__ = ["Injection", "device_limits", "hook", "inject", "reseed"]

_HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)
_BEFORE, _INSTEAD, _AFTER = range(3)


class Injection:
    """A fault at work in this process."""

    def __init__(self, text: str) -> None:
        self._id = ctypes.c_uint64()
        self._hits: int | None = None
        _call("ascendSimAddFault", text.encode(), ctypes.byref(self._id))

    @property
    def hits(self) -> int:
        """How often the fault has struck."""
        if self._hits is not None:
            return self._hits
        hits = ctypes.c_uint64()
        _call("ascendSimFaultHits", self._id, ctypes.byref(hits))
        return hits.value

    def remove(self) -> None:
        """End the fault; hung work continues, and a lost device answers again."""
        if self._hits is None:
            hits = ctypes.c_uint64()
            _call("ascendSimRemoveFault", self._id, ctypes.byref(hits))
            self._hits = hits.value


@contextmanager
def inject(*faults: str | Fault) -> Iterator[Injection]:
    """Let faults act on this process while the block runs.

    Parameters
    ----------
    *faults : str or Fault
        See `Fault`.

    Yields
    ------
    Injection
        The first of them.

    Raises
    ------
    ConfigError
        If a text is no fault.

    Examples
    --------
    >>> with inject("fail:malloc,bytes=1073741824") as oom:  # doctest: +SKIP
    ...     run()
    ...     assert oom.hits == 1
    """
    if not faults:
        raise ConfigError("no fault given")
    texts = [str(Fault.parse(str(fault))) for fault in faults]
    injections: list[Injection] = []
    try:
        injections.extend(Injection(text) for text in texts)
        yield injections[0]
    finally:
        for injection in injections:
            injection.remove()


@contextmanager
def hook(
    function: str | None = None,
    *,
    before: Callable[[str], None] | None = None,
    instead: Callable[[str], int] | None = None,
    after: Callable[[str, int], None] | None = None,
) -> Iterator[None]:
    """Call Python before, instead of or after ABI functions of this process.

    Parameters
    ----------
    function : str, optional
        Name of the function. Default: all, except for those that report errors
        (``aclGetRecentErrMsg``).
    before : callable
        Gets the name.
    instead : callable
        Gets the name; returns the code that the call returns without doing anything.
    after : callable
        Gets the name and the code.

    Notes
    -----
    Hooks run on the thread of the call. What they call themselves is not seen by hooks. An
    exception in a hook is printed and ignored, as in any callback of ctypes.
    """
    ids: list[ctypes.c_uint64] = []

    def add(phase: int, call: Callable[[str, int], int | None]) -> None:
        def run(name: bytes, code: int, _: Any) -> int:
            return call(name.decode(), code) or 0

        callback = _HOOK(run)
        _hooks.append(callback)
        number = ctypes.c_uint64()
        name = None if function is None else function.encode()
        _call("ascendSimAddHook", name, phase, callback, None, ctypes.byref(number))
        ids.append(number)

    try:
        if before is not None:
            add(_BEFORE, lambda name, _: before(name))
        if instead is not None:
            add(_INSTEAD, lambda name, _: instead(name))
        if after is not None:
            add(_AFTER, after)
        yield
    finally:
        for number in ids:
            _call("ascendSimRemoveHook", number)


# Calls that are on their way may come to a hook after it was removed: it must not be freed.
_hooks: list[Any] = []


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path("libascendcl.so")))
    library.aclGetRecentErrMsg.restype = ctypes.c_char_p
    return library


def _call(name: str, *arguments: Any) -> None:
    if getattr(_library(), name)(*arguments) != 0:
        raise ConfigError((_library().aclGetRecentErrMsg() or b"").decode().strip())


def reseed(seed: int) -> None:
    """Restart the chaos schedule of this process with another seed.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.

    Raises
    ------
    ConfigError
        If the schedule of this process is not chaos.
    """
    _call("ascendSimReseed", ctypes.c_uint64(seed))


@contextmanager
def device_limits(limits: Limits) -> Iterator[None]:
    """Choose the limits of operators while the block runs, in all threads of this process.

    Parameters
    ----------
    limits : {"device", "off"}
        As ``limits`` of :class:`ascend_sim.SimConfig`.

    Raises
    ------
    ConfigError
        If it is neither.

    Notes
    -----
    torch_npu calls operators in the background: synchronize before the block and at its end.
    """
    on = ctypes.c_bool(SimConfig(limits=limits).limits == "device")
    _call("ascendSimExchangeDeviceLimits", ctypes.byref(on))
    try:
        yield
    finally:
        _call("ascendSimExchangeDeviceLimits", ctypes.byref(on))
