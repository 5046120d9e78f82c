# SPDX-License-Identifier: Apache-2.0
"""The process that makes the calls: one JSON line in, one line out; a crash ends it.

Tensors end where their block of device memory does, and no page around a block can be touched:
what reads or writes beyond a tensor ends the process. The argument: whether the limits of a device
are checked, "device" or "off".
"""

import ctypes
import dataclasses
import json
import mmap
import random
import struct
import sys
from typing import Any

import ascend_sim

__all__ = ["main"]

SIZES = {"small": mmap.PAGESIZE, "large": 1 << 16}
GUARD = 1 << 20
CLOSED, OPEN = 0, mmap.PROT_READ | mmap.PROT_WRITE
KINDS = {
    "int64": ctypes.c_int64, "int32": ctypes.c_int32, "int8": ctypes.c_int8, "bool": ctypes.c_bool,
    "double": ctypes.c_double, "float": ctypes.c_float, "text": ctypes.c_char_p,
}  # fmt: skip
CLASSES = {
    "tensor": "Tensor", "tensors": "TensorList", "scalar": "Scalar", "ints": "IntArray",
    "floats": "FloatArray", "bools": "BoolArray", "scalars": "ScalarList",
}  # fmt: skip
ELEMENTS = {"ints": ctypes.c_int64, "floats": ctypes.c_float, "bools": ctypes.c_bool}
REFUSED = 161002  # by the kernel; the device goes on
LISTS = ("tensors", "scalars")  # of handles, which they own
CONTENTS = {
    "zeros": bytes(64),
    "places": struct.pack("<8q", *range(8)),
    "numbers": struct.pack("<16f", *(number / 4 for number in range(-8, 8))),
    "halves": struct.pack("<32e", *(number / 4 for number in range(-16, 16))),
    "minus one": b"\xff" * 64,
    "wild": random.Random(1).randbytes(1024),  # noqa: S311
}
"""What memory holds, as indices, lengths and numbers: whatever a call makes of it."""
HOST = ctypes.create_string_buffer(4096)
ITEM_SIZES = {0: 4, 1: 2, 2: 1, 3: 4, 4: 1, 6: 2, 9: 8, 11: 8, 12: 1, 16: 8, 27: 2}  # of dtypes


class Worker:
    """A device with memory, and the calls on it."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._acl = ctypes.CDLL(str(ascend_sim.library_path("libascendcl.so")), ctypes.RTLD_GLOBAL)
        self._ops = ctypes.CDLL("libopapi.so")
        for kind in CLASSES.values():
            getattr(self._ops, f"aclCreate{kind}").restype = ctypes.c_void_p
        self._ops.ascendSimDescribeOperators.restype = ctypes.c_char_p
        lines = self._ops.ascendSimDescribeOperators().decode().splitlines()
        self.kinds = {name: kinds for name, *kinds in (line.split() for line in lines)}
        self._must(self._acl.aclInit(None))
        self._open()

    @staticmethod
    def _must(code: int) -> None:
        if code != 0:
            raise SystemExit(f"the runtime failed: {code}")

    def _open(self) -> None:
        self._must(self._acl.aclrtSetDevice(0))
        self._stream = ctypes.c_void_p()
        self._must(self._acl.aclrtCreateStream(ctypes.byref(self._stream)))
        self._memory = {"null": 0, "host": ctypes.addressof(HOST)}
        self._guards = [self._block(GUARD)]
        for name, size in SIZES.items():
            self._memory[name] = self._block(size)
            self._guards.append(self._block(GUARD))
        self._memory["freed"] = self._block(1 << 16)
        for block in (*self._guards, self._memory["freed"]):
            self._must(self._acl.aclrtFree(ctypes.c_void_p(block)))
        self._protect(CLOSED)

    def _block(self, size: int) -> int:
        address = ctypes.c_void_p()
        # aclrtMalloc would add room behind the block.
        self._must(self._acl.aclrtMallocAlign32(ctypes.byref(address), ctypes.c_size_t(size), 0))
        assert address.value is not None
        return address.value

    def _fill(self, content: bytes) -> None:
        """Lay the same down before each call, whatever the calls before have written."""
        for name, size in SIZES.items():
            ctypes.memmove(self._memory[name], content * (size // len(content)), size)

    def _protect(self, access: int) -> None:
        for guard in self._guards:
            code = self._libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(GUARD), access)
            self._must(code)  # which fails if a block does not begin with a page

    def _address(self, tensor: dict[str, Any]) -> int:
        """Return where the data of a tensor begins, so that its last element ends its block."""
        name = tensor["memory"]
        steps = zip(tensor["sizes"], tensor["strides"], strict=True)
        extent = 1 + tensor["offset"] + sum((size - 1) * stride for size, stride in steps)
        used = extent * ITEM_SIZES.get(tensor["dtype"], 1)
        room = SIZES.get(name, 0) - used
        return self._memory[name] + (max(room, 0) if used > 0 else 0)

    def _create(self, kind: str, *arguments: Any) -> int | None:
        made = getattr(self._ops, f"aclCreate{CLASSES[kind]}")(*arguments)
        if made is not None:
            self._handles.append((kind, made))
        return made

    def _destroy(self, kind: str, handle: int) -> None:
        getattr(self._ops, f"aclDestroy{CLASSES[kind]}")(ctypes.c_void_p(handle))

    def _plain(self, kind: str) -> int | None:
        """Make a small handle of the kind."""
        one = (ctypes.c_int64 * 1)(1)
        if kind == "tensor":
            view = (one, ctypes.c_uint64(1), 0, one, ctypes.c_int64(0), 2, one, ctypes.c_uint64(1))
            return self._create(kind, *view, ctypes.c_void_p(self._memory["small"]))
        if kind == "scalar":
            return self._create(kind, one, 9)
        if kind in LISTS:
            return self._create(kind, None, ctypes.c_uint64(0))
        return self._create(kind, (ELEMENTS[kind] * 1)(1), ctypes.c_uint64(1))

    def _handle(self, value: dict[str, Any]) -> int | None:
        what = value["is"]
        if what == "null":
            return None
        if what == "address":
            return value["value"]
        if what == "foreign":
            return self._plain(value["kind"])
        if what == "destroyed":
            handle = self._plain(value["kind"])
            if handle is not None:
                self._destroy(*self._handles.pop())
            return handle
        if what == "tensor":
            sizes, strides = value["sizes"], value["strides"]
            array = ctypes.c_int64 * len(sizes)
            return self._create(
                "tensor",
                array(*sizes),
                ctypes.c_uint64(len(sizes)),
                value["dtype"],
                array(*strides),
                ctypes.c_int64(value["offset"]),
                value["format"],
                (ctypes.c_int64 * 1)(value["storage"]),
                ctypes.c_uint64(1),
                ctypes.c_void_p(self._address(value)),
            )
        if what == "scalar":
            make = {0: ctypes.c_float, 11: ctypes.c_double}.get(value["dtype"], ctypes.c_int64)
            room = (ctypes.c_int64 * 2)()  # for the largest type
            number = ctypes.byref(make(value["value"]))
            ctypes.memmove(room, number, ctypes.sizeof(make))
            return self._create("scalar", room, value["dtype"])
        values = value["values"]
        if what in LISTS:
            before = len(self._handles)
            items = [self._handle(item) for item in values]
            owned = self._handles[before:]
            array = (ctypes.c_void_p * len(items))(*items)
            made = self._create(what, array, ctypes.c_uint64(len(items)))
            if made is not None:  # which destroys its items
                del self._handles[before : before + len(owned)]
            return made
        array = (ELEMENTS[what] * len(values))(*values)
        return self._create(what, array, ctypes.c_uint64(len(values)))

    def _passed(self, kind: str, value: Any) -> Any:
        if kind == "text":
            return ctypes.c_char_p(None if value is None else value.encode())
        if kind in KINDS:
            return KINDS[kind](value)
        return ctypes.c_void_p(self._handle(value))

    def call(self, call: dict[str, Any]) -> str:
        """Make a call; return the code of its first phase, and of its kernel if that failed."""
        self._handles: list[tuple[str, int]] = []
        self._fill(CONTENTS[call["content"]])
        name, way = call["op"], call["executor"]
        kinds = self.kinds[name]
        arguments = [self._passed(k, v) for k, v in zip(kinds, call["arguments"], strict=True)]
        executor, size = ctypes.c_void_p(), ctypes.c_uint64()
        pointers = (ctypes.byref(size), ctypes.byref(executor))
        code = getattr(self._ops, f"{name}GetWorkspaceSize")(*arguments, *pointers)
        if code == 0 or way != "run":
            self._launch(name, way, executor)
        for kind, handle in reversed(self._handles):
            self._destroy(kind, handle)
        ran = self._acl.aclrtSynchronizeStream(self._stream)
        if ran not in (0, REFUSED):
            self._protect(OPEN)
            self._acl.aclrtResetDevice(0)
            self._open()
        return f"{code} then {ran}" if ran else str(code)

    def _launch(self, name: str, way: str, executor: ctypes.c_void_p) -> None:
        launch = getattr(self._ops, name)
        rest = (ctypes.c_uint64(0), executor, self._stream)
        if way == "null":
            launch(None, ctypes.c_uint64(0), None, self._stream)
            self._ops.aclDestroyAclOpExecutor(executor)
            return
        if way == "destroyed":
            self._ops.aclDestroyAclOpExecutor(executor)
        if way == "of another":
            other = self._ops.aclnnCos if name != "aclnnCos" else self._ops.aclnnSin
            other(None, *rest)
        if way == "repeated":
            self._ops.aclSetAclOpExecutorRepeatable(executor)
            launch(None, *rest)
        launch(None, *rest)
        if way == "twice":
            launch(None, *rest)
        if way == "repeated":
            self._acl.aclrtSynchronizeStream(self._stream)
            self._ops.aclDestroyAclOpExecutor(executor)


def main() -> None:
    """Serve calls until the input ends."""
    config = ascend_sim.SimConfig.from_env()
    ascend_sim.activate(dataclasses.replace(config, limits=sys.argv[1]))
    worker = Worker()
    print(json.dumps(worker.kinds), flush=True)
    for line in sys.stdin:
        print(worker.call(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
