# SPDX-License-Identifier: Apache-2.0
"""libhccl through ctypes, and programs that run once per rank. Knows nothing of torch."""

import ctypes
import os
import sys
import time
from ctypes import byref, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["MAX", "MIN", "PROD", "SUM", "TYPES", "Rank", "RootInfo", "SendRecvItem"]

SUM, PROD, MAX, MIN = range(4)
TYPES = {
    "int8": 0,
    "int16": 1,
    "int32": 2,
    "float16": 3,
    "float32": 4,
    "int64": 5,
    "uint64": 6,
    "uint8": 7,
    "uint16": 8,
    "uint32": 9,
    "float64": 10,
    "bfloat16": 11,
}
_CONFIG_MAGIC = 0xF0F0F0F0


class RootInfo(ctypes.Structure):
    _fields_ = [("internal", ctypes.c_char * 4108)]


class CommConfig(ctypes.Structure):
    """The fields up to the time-out of collectives."""

    _fields_ = [
        ("size", c_uint64),
        ("magic", c_uint32),
        ("version", c_uint32),
        ("reserved", c_uint64),
        ("buffer_size", c_uint32),
        ("deterministic", c_uint32),
        ("name", ctypes.c_char * 128),
        ("udi", ctypes.c_char * 128),
        ("modes", c_uint32 * 4),
        ("job", c_uint64),
        ("zero_copy", ctypes.c_uint8),
        ("exec_timeout", c_int32),
    ]


class SendRecvItem(ctypes.Structure):
    _fields_ = [
        ("kind", c_int),
        ("buffer", c_void_p),
        ("count", c_uint64),
        ("type", c_int),
        ("peer", c_uint32),
    ]


_P, _U, _T, _S = c_void_p, c_uint64, c_int, c_void_p
_ARGUMENTS: dict[str, list[Any]] = {
    "HcclAllReduce": [_P, _P, _U, _T, c_int, _P, _S],
    "HcclReduce": [_P, _P, _U, _T, c_int, c_uint32, _P, _S],
    "HcclReduceScatter": [_P, _P, _U, _T, c_int, _P, _S],
    "HcclReduceScatterV": [_P, _P, _P, _P, _U, _T, c_int, _P, _S],
    "HcclAllGather": [_P, _P, _U, _T, _P, _S],
    "HcclAllGatherV": [_P, _U, _P, _P, _P, _T, _P, _S],
    "HcclBroadcast": [_P, _U, _T, c_uint32, _P, _S],
    "HcclScatter": [_P, _P, _U, _T, c_uint32, _P, _S],
    "HcclAlltoAll": [_P, _U, _T, _P, _U, _T, _P, _S],
    "HcclAlltoAllV": [_P, _P, _P, _T, _P, _P, _P, _T, _P, _S],
    "HcclAlltoAllVC": [_P, _P, _T, _P, _T, _P, _S],
    "HcclSend": [_P, _U, _T, c_uint32, _P, _S],
    "HcclRecv": [_P, _U, _T, c_uint32, _P, _S],
    "HcclBatchSendRecv": [_P, c_uint32, _P, _S],
    "HcclBarrier": [_P, _S],
    "HcclGetRootInfo": [_P],
    "HcclCommInitRootInfo": [c_uint32, _P, c_uint32, _P],
    "HcclCommInitRootInfoConfig": [c_uint32, _P, c_uint32, _P, _P],
    "HcclCommInitAll": [c_uint32, _P, _P],
    "HcclCommDestroy": [_P],
    "HcclGetRankId": [_P, _P],
    "HcclGetRankSize": [_P, _P],
    "HcclGetCommName": [_P, c_char_p],
    "HcclGetCommAsyncError": [_P, _P],
    "HcclGetErrorString": [c_int],
    "HcclGroupStart": [],
    "HcclGroupEnd": [],
    "aclrtMalloc": [_P, c_size_t, c_int],
    "aclrtMemcpy": [_P, c_size_t, _P, c_size_t, c_int],
    "aclmdlRICaptureBegin": [_S, c_int],
    "aclmdlRICaptureEnd": [_S, _P],
    "aclmdlRIExecuteAsync": [_P, _S],
    "aclrtSynchronizeStream": [_S],
    "aclrtSynchronizeStreamWithTimeout": [_S, c_int32],
    "aclrtDestroyStreamForce": [_S],
}


class Rank:
    """One rank of a test: its device, a stream and a communicator of all ranks.

    Parameters
    ----------
    libraries : str
        Folder of the simulator's libraries.
    folder : str
        Where the ranks of one test meet.
    """

    def __init__(self, libraries: str, folder: str, rank: int, world: int, device: int) -> None:
        self.rank, self.world, self._folder = rank, world, Path(folder)
        mode = os.RTLD_NOW | os.RTLD_GLOBAL
        names = ("libascendcl.so", "libhccl.so", "libhcomm.so")
        self._libraries = [ctypes.CDLL(str(Path(libraries) / name), mode) for name in names]
        for name, types in _ARGUMENTS.items():
            self._find(name).argtypes = types
        self._find("aclGetRecentErrMsg").restype = c_char_p
        self._find("HcclGetErrorString").restype = c_char_p
        self.call("aclInit", None)
        self.ok("aclrtSetDevice", device)
        self.stream = self.new_stream()

    def _find(self, name: str) -> Any:
        for library in self._libraries:
            if hasattr(library, name):
                return getattr(library, name)
        raise AttributeError(name)

    def call(self, name: str, *arguments: Any) -> Any:
        return self._find(name)(*arguments)

    def ok(self, name: str, *arguments: Any) -> None:
        code = self.call(name, *arguments)
        assert code == 0, f"{name} -> {code}: {self.message()}"

    def message(self) -> str:
        text = self.call("aclGetRecentErrMsg")
        return "" if text is None else text.decode()

    def new_stream(self) -> c_void_p:
        stream = c_void_p()
        self.ok("aclrtCreateStream", byref(stream))
        return stream

    def sync(self, stream: c_void_p | None = None) -> int:
        code: int = self.call("aclrtSynchronizeStream", stream or self.stream)
        return code

    # --- communicators ---

    def publish(self, name: str, content: bytes) -> None:
        part = self._folder / f"{name}.part"
        part.write_bytes(content)
        part.rename(self._folder / name)

    def await_file(self, name: str) -> bytes:
        deadline = time.monotonic() + 60
        while not (self._folder / name).exists():
            assert time.monotonic() < deadline, f"nobody wrote {name}"
            time.sleep(0.005)
        return (self._folder / name).read_bytes()

    def root(self, name: str = "root", by: int = 0) -> RootInfo:
        """Return the root info that the rank ``by`` makes."""
        info = RootInfo()
        if self.rank == by:
            self.ok("HcclGetRootInfo", byref(info))
            self.publish(name, bytes(info))
            return info
        return RootInfo.from_buffer_copy(self.await_file(name))

    def join(self, ranks: list[int] | None = None, name: str = "root", **config: Any) -> c_void_p:
        """Make a communicator of some ranks, all without an argument."""
        ranks = ranks or list(range(self.world))
        info, comm = self.root(name, ranks[0]), c_void_p()
        own = ranks.index(self.rank)
        if not config:
            self.ok("HcclCommInitRootInfo", len(ranks), byref(info), own, byref(comm))
            return comm
        settings = self.config(**config)
        self.ok(
            "HcclCommInitRootInfoConfig", len(ranks), byref(info), own, byref(settings), byref(comm)
        )
        return comm

    @staticmethod
    def config(**fields: Any) -> CommConfig:
        config = CommConfig(size=ctypes.sizeof(CommConfig), magic=_CONFIG_MAGIC, version=10)
        config.exec_timeout = -1
        for field, value in fields.items():
            setattr(config, field, value)
        return config

    def async_error(self, comm: c_void_p) -> int:
        error = c_int()
        self.ok("HcclGetCommAsyncError", comm, byref(error))
        return error.value

    # --- device memory ---

    def put(self, array: Any) -> c_void_p:
        """Copy an array to the device."""
        array = np.ascontiguousarray(array)
        size, address = array.nbytes, c_void_p()
        self.ok("aclrtMalloc", byref(address), max(size, 1), 0)
        if size:
            self.ok("aclrtMemcpy", address, size, array.ctypes.data_as(c_void_p), size, 1)
        return address

    def get(self, address: c_void_p, count: int, dtype: Any) -> Any:
        """Copy an array from the device, which must be idle."""
        array = np.empty(count, dtype)
        if size := array.nbytes:
            self.ok("aclrtMemcpy", array.ctypes.data_as(c_void_p), size, address, size, 2)
        return array

    def done(self) -> None:
        """Check that the work of this rank's stream went well."""
        code = self.sync()
        assert code == 0, f"synchronize -> {code}: {self.message()}"

    # --- graphs ---

    def capture(self, stream: c_void_p) -> None:
        self.ok("aclmdlRICaptureBegin", stream, 2)

    def captured(self, stream: c_void_p) -> c_void_p:
        graph = c_void_p()
        self.ok("aclmdlRICaptureEnd", stream, byref(graph))
        return graph


def _start() -> Rank:
    """Make the rank of this process from its command line."""
    libraries, folder, rank, world, device = sys.argv[1:6]
    return Rank(libraries, folder, int(rank), int(world), int(device))


if __name__ == "__main__":
    me = _start()
    exec(compile(sys.argv[6], "<rank>", "exec"))
