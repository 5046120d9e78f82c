# SPDX-License-Identifier: Apache-2.0
"""Calls an operator of libopapi itself, for those that torch_npu only calls on other devices."""

import ctypes
from collections.abc import Callable
from typing import Any

import torch
import torch_npu

__all__ = ["call", "declared_operators", "refusal"]

ACL_TYPES = {
    torch.float32: 0, torch.float16: 1, torch.int8: 2, torch.int32: 3, torch.uint8: 4,
    torch.int64: 9, torch.bool: 12, torch.bfloat16: 27,
}  # fmt: skip
ND, NZ = 2, 29
PLAIN = {
    "int64": ctypes.c_int64, "int32": ctypes.c_int32, "int8": ctypes.c_int8, "bool": ctypes.c_bool,
    "double": ctypes.c_double, "float": ctypes.c_float, "text": ctypes.c_char_p,
}  # fmt: skip


def declared_operators() -> dict[str, list[str]]:
    """Return the kinds of the arguments of every operator of the simulator."""
    library = ctypes.CDLL("libopapi.so")
    library.ascendSimDescribeOperators.restype = ctypes.c_char_p
    lines = library.ascendSimDescribeOperators().decode().splitlines()
    return {name: kinds for name, *kinds in (line.split() for line in lines)}


def _ints(values: Any) -> ctypes.Array[ctypes.c_int64]:
    return (ctypes.c_int64 * len(values))(*values)


def _blocks(value: torch.Tensor) -> list[int]:
    """Return the shape of the storage of matrices in FRACTAL_NZ, also if they are transposed."""
    *batch, rows, columns = value.size() if value.is_contiguous() else value.mT.size()
    c0 = 32 // min(value.element_size(), 2)
    return [*batch, -(-columns // c0), -(-rows // 16), 16, c0]


class _Handles:
    """Handles of one call."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._made: list[tuple[str, ctypes.c_void_p]] = []

    def _create(self, kind: str, *arguments: Any) -> ctypes.c_void_p:
        create = getattr(self._library, f"aclCreate{kind}")
        create.restype = ctypes.c_void_p
        handle = ctypes.c_void_p(create(*arguments))
        assert handle.value is not None, kind
        self._made.append((kind, handle))
        return handle

    def tensor(self, value: torch.Tensor) -> ctypes.c_void_p:
        fractal = torch_npu.get_npu_format(value) == NZ
        stored = value.untyped_storage().nbytes() // value.element_size()
        storage = _blocks(value) if fractal else [stored]
        return self._create(
            "Tensor",
            _ints(value.size()),
            ctypes.c_uint64(value.dim()),
            ACL_TYPES[value.dtype],
            _ints(value.stride()),
            ctypes.c_int64(value.storage_offset()),
            NZ if fractal else ND,
            _ints(storage),
            ctypes.c_uint64(len(storage)),
            ctypes.c_void_p(value.untyped_storage().data_ptr()),
        )

    def _list(self, kind: str, items: list[ctypes.c_void_p]) -> ctypes.c_void_p:
        del self._made[len(self._made) - len(items) :]  # a list destroys its items
        array = (ctypes.c_void_p * len(items))(*(item.value for item in items))
        return self._create(kind, array, ctypes.c_uint64(len(items)))

    def tensors(self, value: list[torch.Tensor]) -> ctypes.c_void_p:
        return self._list("TensorList", [self.tensor(item) for item in value])

    def ints(self, value: list[int]) -> ctypes.c_void_p:
        return self._create("IntArray", _ints(value), ctypes.c_uint64(len(value)))

    def floats(self, value: list[float]) -> ctypes.c_void_p:
        array = (ctypes.c_float * len(value))(*value)
        return self._create("FloatArray", array, ctypes.c_uint64(len(value)))

    def bools(self, value: list[bool]) -> ctypes.c_void_p:
        array = (ctypes.c_bool * len(value))(*value)
        return self._create("BoolArray", array, ctypes.c_uint64(len(value)))

    def scalar(self, value: float) -> ctypes.c_void_p:
        if isinstance(value, int):
            return self._create("Scalar", ctypes.byref(ctypes.c_int64(value)), 9)
        return self._create("Scalar", ctypes.byref(ctypes.c_float(value)), 0)

    def scalars(self, value: list[float]) -> ctypes.c_void_p:
        return self._list("ScalarList", [self.scalar(item) for item in value])

    def destroy(self) -> None:
        for kind, handle in self._made:
            getattr(self._library, f"aclDestroy{kind}")(handle)


def _prepare(
    library: ctypes.CDLL, handles: _Handles, name: str, arguments: tuple[Any, ...]
) -> tuple[int, ctypes.c_uint64, ctypes.c_void_p]:
    """First phase: its status, the size of the workspace and the executor."""
    kinds = declared_operators()[name]
    passed = [
        ctypes.c_void_p() if value is None else _makers(handles)[kind](value)
        for kind, value in zip(kinds, arguments, strict=True)
    ]
    torch.npu.synchronize()  # what torch_npu has queued comes first
    size, executor = ctypes.c_uint64(), ctypes.c_void_p()
    prepare = getattr(library, f"{name}GetWorkspaceSize")
    return prepare(*passed, ctypes.byref(size), ctypes.byref(executor)), size, executor


def _makers(handles: _Handles) -> dict[str, Callable[[Any], Any]]:
    of_handles = ("tensor", "tensors", "ints", "floats", "bools", "scalar", "scalars")
    return PLAIN | {kind: getattr(handles, kind) for kind in of_handles}


def call(name: str, *arguments: Any) -> None:
    """Run an operator on torch's current stream; None is a null handle."""
    library = ctypes.CDLL("libopapi.so")
    handles = _Handles(library)
    status, size, executor = _prepare(library, handles, name, arguments)
    assert status == 0, f"{name}: {status}"
    stream = ctypes.c_void_p(torch.npu.current_stream().npu_stream)
    assert getattr(library, name)(None, size, executor, stream) == 0
    handles.destroy()
    torch.npu.synchronize()


def refusal(name: str, *arguments: Any) -> tuple[int, str]:
    """Return the status of the first phase of a call that is refused, and the error's text."""
    library = ctypes.CDLL("libopapi.so")
    handles = _Handles(library)
    status, *_ = _prepare(library, handles, name, arguments)
    handles.destroy()
    last_error = ctypes.CDLL("libascendcl.so").aclGetRecentErrMsg
    last_error.restype = ctypes.c_char_p
    return status, (last_error() or b"").decode()
