# SPDX-License-Identifier: Apache-2.0
"""Bodies of a program's own kernels, in Python.

A program built with Ascend C launches kernels out of its binary, by name. This process computes
them with functions that are registered here.
"""

import atexit
import ctypes
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from ascend_sim._errors import KernelError
from ascend_sim._library import is_off, library_path

__all__ = ["device_view", "kernel"]

_Body = TypeVar("_Body", bound=Callable[..., None])

_FUNCTION = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_uint64),
    ctypes.c_uint32,
    ctypes.POINTER(ctypes.c_char),
    ctypes.c_uint64,
)
_SLOT = ctypes.sizeof(ctypes.c_uint64)


def kernel(name: str, *, args: Sequence[type[Any]]) -> Callable[[_Body], _Body]:
    """Make the decorated function the body of the kernels called `name`, in this process.

    Parameters
    ----------
    name : str
        The kernel as its source has it, such as ``"add_custom"``; whichever binary it is in.
    args : sequence of ctypes types
        The types of its arguments, in order: numbers and ``c_bool``, which the function gets as
        numbers; ``c_void_p``, as an int, 0 for null; ``POINTER(T)``, as such a pointer, which is
        false for null. They must give the size of the argument block that the binary states.

    Returns
    -------
    callable
        The decorator. It returns the function as it is.

    Raises
    ------
    KernelError
        If a type cannot be an argument of a kernel.

    Notes
    -----
    The function runs on a thread of the stream, once for each launch and each replay of a graph,
    with the GIL. An exception fails the stream, with its text. Read and write device memory through
    `device_view`. A later body replaces an earlier one, and any replaces the simulator's own. With
    ``ASCEND_SIM=off`` nothing is registered: the device has the kernel.

    Examples
    --------
    >>> from ctypes import POINTER, c_float, c_uint32
    >>> @kernel("scale", args=[POINTER(c_float), c_float, c_uint32])  # doctest: +SKIP
    ... def scale(x, factor, count):
    ...     view = device_view(x, count, writable=True)
    ...     for i in range(count):
    ...         view[i] *= factor
    """
    types = tuple(args)
    for each in types:
        _check(each)

    def register(body: _Body) -> _Body:
        if not is_off():
            _register(name, types, body)
        return body

    return register


def device_view(pointer: Any, count: int, *, writable: bool = False) -> memoryview:
    """Return `count` elements of device memory as a view that numpy and struct can take.

    To be called by the body of a kernel: the check for hazards learns here what it touches.

    Parameters
    ----------
    pointer : pointer of ctypes, or int
        The first element, as the body got it. The view of an int, an address, has bytes.
    count : int
        Number of elements.
    writable : bool
        Whether the body writes them.

    Returns
    -------
    memoryview
        Of the pointer's type, with one dimension; not a copy.

    Raises
    ------
    KernelError
        If the device cannot reach all of it, or no body runs on this thread.
    """
    if isinstance(pointer, int):
        element, address = ctypes.c_uint8, pointer
    else:
        element, address = pointer._type_, ctypes.cast(pointer, ctypes.c_void_p).value or 0
    size = ctypes.sizeof(element) * count
    library = _library()
    if library.ascendSimKernelTouches(address, size, writable) != 0:
        raise KernelError(library.aclGetRecentErrMsg().decode().strip())
    memory = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
    view = memory.cast(element._type_)
    return view if writable else view.toreadonly()


def _check(argument: type[Any]) -> None:
    simple = isinstance(argument, type) and issubclass(argument, ctypes._SimpleCData)
    pointer = isinstance(argument, type) and issubclass(argument, ctypes._Pointer)
    if not (simple or pointer) or ctypes.sizeof(argument) not in (1, 2, 4, 8):
        raise KernelError(
            f"{argument!r} cannot be an argument of a kernel: numbers (c_uint32, c_float ...), "
            "c_bool, c_void_p and POINTER(...) of ctypes can"
        )


def _register(name: str, types: tuple[type[Any], ...], body: Callable[..., None]) -> None:
    def run(slots: Any, _blocks: int, why: Any, room: int) -> int:
        try:
            body(*_values(types, ctypes.string_at(slots, _SLOT * len(types))))
        except BaseException as error:
            text = _describe(error).encode()[: room - 1]
            ctypes.memmove(why, text, len(text))
            return 1
        return 0

    function = _FUNCTION(run)
    _alive.append(function)
    sizes = bytes(map(ctypes.sizeof, types))
    library = _library()
    if library.ascendSimSetKernel(name.encode(), sizes, len(types), function) != 0:
        raise KernelError(library.aclGetRecentErrMsg().decode().strip())


# What was launched may come to a body after another one replaced it: it must not be freed.
_alive: list[Any] = []


def _values(types: tuple[type[Any], ...], slots: bytes) -> list[Any]:
    found = [each.from_buffer_copy(slots, _SLOT * index) for index, each in enumerate(types)]
    return [value if isinstance(value, ctypes._Pointer) else _number(value) for value in found]


def _number(value: Any) -> Any:
    return 0 if value.value is None else value.value  # None: a null c_void_p


def _describe(error: BaseException) -> str:
    """Return the error and the line that raised it, in one line."""
    text = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path("libascendcl.so")))
    library.aclGetRecentErrMsg.restype = ctypes.c_char_p
    library.ascendSimKernelTouches.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_bool]
    library.ascendSimSetKernel.argtypes = [
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_uint64,
        _FUNCTION,
    ]
    # Streams outlive the interpreter, whose functions they must not call then.
    atexit.register(library.ascendSimEndKernels)
    return library
