# SPDX-License-Identifier: Apache-2.0
"""``acl.util``: addresses of host memory."""

import ctypes
from typing import Any

from acl._abi import missing

__all__ = ["bytes_to_ptr", "numpy_to_ptr", "ptr_to_bytes"]


def bytes_to_ptr(data: bytes) -> int:
    """Return the address of `data`, which must live as long as the address is used."""
    address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
    assert address is not None
    return address


def ptr_to_bytes(address: int, size: int) -> bytes:
    """Return a copy of `size` bytes of host memory."""
    return ctypes.string_at(address, size)


def numpy_to_ptr(array: Any) -> int:
    """Return the address of a numpy array, which must live as long as the address is used."""
    return int(array.ctypes.data)


def __getattr__(name: str) -> None:
    raise missing(__name__, name, __all__)
