# SPDX-License-Identifier: Apache-2.0
"""The one place that loads libascendcl and calls it.

Every call goes through `call`, which turns a code other than 0 into a typed `AclError` with the
text that CANN has about it. Nothing here knows what a function does: its arguments are declared by
the caller, as ctypes objects.
"""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

from ascend_core import errors

__all__ = ["call", "has", "library", "text"]

_LIBRARY = "libascendcl.so"


@functools.cache
def library() -> ctypes.CDLL:
    """Load libascendcl, once per process.

    If torch_npu or `ascend_sim.activate` loaded it before, this is the same library.

    Raises
    ------
    AclLibraryNotFoundError
        If it is not on the library path.
    """
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise errors.AclLibraryNotFoundError(str(error)) from error


def has(name: str) -> bool:
    """Tell whether the loaded libascendcl has a function."""
    return hasattr(library(), name)


def call(name: str, *args: object) -> None:
    """Call a function that returns an ACL code.

    Parameters
    ----------
    name
        Name of the function: "aclrtSetDevice".
    *args
        ctypes objects, `bytes` or None. A plain int is refused: ctypes would pass it as a C int
        and cut a 64-bit handle in half.

    Raises
    ------
    AclLibraryNotFoundError
        If there is no libascendcl.
    AclSymbolNotFoundError
        If it does not have the function.
    AclError
        Of the subclass that belongs to the code, if the function returned one.
    """
    if any(isinstance(arg, int) for arg in args):
        raise TypeError(f"{name}: pass ctypes objects, not plain integers")
    code = _function(name, ctypes.c_int)(*args)
    if code:
        raise errors.from_code(code, name, text("aclGetRecentErrMsg"))


def text(name: str) -> str:
    """Call a function without arguments that returns a C string; "" for a null pointer."""
    value = _function(name, ctypes.c_char_p)()
    return value.decode(errors="replace") if value else ""


# A function object per name and return type: attribute access on a CDLL shares one object among all
# users, whose restype another thread or package might change.
@functools.cache
def _function(name: str, restype: type[Any]) -> Callable[..., Any]:
    try:
        address = ctypes.cast(library()[name], ctypes.c_void_p).value
    except AttributeError as error:
        raise errors.AclSymbolNotFoundError(name) from error
    assert address is not None
    return ctypes.CFUNCTYPE(restype)(address)
