# SPDX-License-Identifier: Apache-2.0
"""libascendcl through ctypes, as far as the conformance tests need it. Knows nothing of torch."""

import ctypes
import threading
from collections.abc import Callable
from ctypes import byref, c_float, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

__all__ = [
    "ACTIVE",
    "GLOBAL",
    "INVALIDATED",
    "NONE",
    "RELAXED",
    "SYNC",
    "THREAD_LOCAL",
    "TIMED",
    "TIME_LINE",
    "Acl",
    "CondTaskParams",
    "Gate",
    "NoKernelLauncherError",
    "TaskParams",
    "in_thread",
]

GLOBAL, THREAD_LOCAL, RELAXED = range(3)  # capture modes
NONE, ACTIVE, INVALIDATED = range(3)  # what aclmdlRICaptureGetInfo says of a stream
SYNC, TIME_LINE, EXTERNAL = 0x1, 0x8, 0x20  # event flags
TIMED = SYNC | TIME_LINE
KERNEL = 0  # of ascendSimLaunchHostTask


class NoKernelLauncherError(Exception):
    """The library is not the simulator's, whose launcher stands in for kernels of operators."""

    def __init__(self) -> None:
        super().__init__("kernels are launched with the simulator's ascendSimLaunchHostTask")


class CondTaskParams(ctypes.Structure):
    """aclmdlRICondTaskParams."""

    _fields_ = [
        ("handle", c_void_p),
        ("type", c_uint32),
        ("size", c_uint32),
        ("graphs", ctypes.POINTER(c_void_p)),
    ]


class _Kernel(ctypes.Structure):
    _fields_ = [
        ("function", c_void_p),
        ("config", c_void_p),
        ("args", c_void_p),
        ("host_args", c_uint32),
        ("args_size", c_size_t),
        ("blocks", c_uint32),
        ("reserved", c_uint32 * 10),
    ]


class _Event(ctypes.Structure):
    _fields_ = [("event", c_void_p), ("event_flags", c_uint32), ("use", c_uint32)]


class _Value(ctypes.Structure):
    _fields_ = [("address", c_void_p), ("value", c_uint64), ("flag", c_uint32)]


class _Details(ctypes.Union):
    _fields_ = [
        ("reserved", ctypes.c_uint8 * 128),
        ("kernel", _Kernel),
        ("event", _Event),
        ("value", _Value),
    ]


class TaskParams(ctypes.Structure):
    """aclmdlRITaskParams."""

    _anonymous_ = ("details",)
    _fields_ = [
        ("type", c_uint32),
        ("reserved0", c_uint32 * 3),
        ("task_group", c_void_p),
        ("op_info", c_void_p),
        ("op_info_size", c_size_t),
        ("reserved1", ctypes.c_uint8 * 32),
        ("details", _Details),
    ]


# Functions with arguments that ctypes would not pass rightly by itself (other than int).
_ARGUMENTS: dict[str, list[Any]] = {
    "aclrtMalloc": [c_void_p, c_size_t, c_int],
    "aclrtMallocAlign32": [c_void_p, c_size_t, c_int],
    "aclrtMallocHost": [c_void_p, c_size_t],
    "aclrtMemcpy": [c_void_p, c_size_t, c_void_p, c_size_t, c_int],
    "aclrtMemcpyAsync": [c_void_p, c_size_t, c_void_p, c_size_t, c_int, c_void_p],
    "aclrtMemset": [c_void_p, c_size_t, c_int32, c_size_t],
    "aclrtMemsetAsync": [c_void_p, c_size_t, c_int32, c_size_t, c_void_p],
    "aclrtValueWrite": [c_void_p, c_uint64, c_uint32, c_void_p],
    "aclrtValueWait": [c_void_p, c_uint64, c_uint32, c_void_p],
    "aclrtReserveMemAddress": [c_void_p, c_size_t, c_size_t, c_void_p, c_uint64],
    "aclrtMallocPhysical": [c_void_p, c_size_t, c_void_p, c_uint64],
    "aclrtMapMem": [c_void_p, c_size_t, c_size_t, c_void_p, c_uint64],
    "aclrtSubscribeReport": [c_uint64, c_void_p],
    "aclrtUnSubscribeReport": [c_uint64, c_void_p],
    "aclrtGetStreamOverflowSwitch": [c_void_p, c_void_p],
    "aclrtSetStreamFailureMode": [c_void_p, c_uint64],
    "aclrtSetStreamOverflowSwitch": [c_void_p, c_uint32],
    "aclrtLaunchKernelWithHostArgs": [
        c_void_p,
        c_uint32,
        c_void_p,
        c_void_p,
        c_void_p,
        c_size_t,
        c_void_p,
        c_size_t,
    ],
    "aclmdlRIAddCondTask": [CondTaskParams, c_void_p, c_uint32],
    "aclmdlRICondHandleCreate": [c_void_p, c_uint32, c_uint32, c_void_p],
}
_HOST_FUNCTION = ctypes.CFUNCTYPE(None, c_void_p)
_HOST_TASK = ctypes.CFUNCTYPE(c_int, c_void_p)


class Gate:
    """A host function that keeps a stream busy until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._entered = threading.Event()

    def __call__(self) -> None:
        self._entered.set()
        assert self._opened.wait(30), "the test never opened the gate"

    def open(self) -> None:
        self._opened.set()

    def wait_until_reached(self) -> None:
        assert self._entered.wait(30), "the stream never came to the gate"


class Acl:
    """The functions of the library by name, each returning its code, and short forms for tests.

    Short forms fail the test when the library returns an error.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.aclGetRecentErrMsg.restype = ctypes.c_char_p
        for name, types in _ARGUMENTS.items():
            if hasattr(self._library, name):
                getattr(self._library, name).argtypes = types
        if self.is_simulator:
            self._library.ascendSimCounters.restype = c_void_p
            self._library.ascendSimOpCounts.restype = ctypes.c_char_p
        self._alive: list[Any] = []  # callbacks that streams may still call
        self._gates: list[Gate] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    @property
    def is_simulator(self) -> bool:
        return hasattr(self._library, "ascendSimLaunchHostTask")

    def ok(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        assert code == 0, f"{name} -> {code}: {self.message()}"

    def message(self) -> str:
        text = self.aclGetRecentErrMsg()
        return "" if text is None else text.decode()

    # --- objects ---

    def stream(self, flags: int | None = None) -> c_void_p:
        stream = c_void_p()
        if flags is None:
            self.ok("aclrtCreateStream", byref(stream))
        else:
            self.ok("aclrtCreateStreamWithConfig", byref(stream), 0, flags)
        return stream

    def default_stream(self) -> c_void_p:
        stream = c_void_p()
        self.ok("aclrtCtxGetCurrentDefaultStream", byref(stream))
        return stream

    def event(self, flags: int = SYNC) -> c_void_p:
        """Make an event of the kind that captures and torch_npu use."""
        event = c_void_p()
        self.ok("aclrtCreateEventExWithFlag", byref(event), c_uint32(flags))
        return event

    def old_event(self) -> c_void_p:
        event = c_void_p()
        self.ok("aclrtCreateEvent", byref(event))
        return event

    def external_event(self) -> c_void_p:
        event = c_void_p()
        self.ok("aclrtCreateEventWithFlag", byref(event), c_uint32(EXTERNAL))
        return event

    def buffer(self, size: int = 8, fill: int = 0) -> c_void_p:
        """Device memory with every byte set to ``fill``."""
        address = c_void_p()
        self.ok("aclrtMalloc", byref(address), size, 0)
        self.ok("aclrtMemset", address, size, fill, size)
        return address

    # --- work and what it left ---

    def fill(self, stream: c_void_p | None, address: c_void_p, value: int, size: int = 8) -> None:
        self.ok("aclrtMemsetAsync", address, size, value, size, stream)

    def byte(self, address: c_void_p) -> int:
        """Read the first byte without waiting for anything."""
        value = (ctypes.c_uint8 * 1)()
        self.ok("aclrtMemcpy", value, 1, address, 1, 2)
        return value[0]

    def word(self, address: c_void_p) -> int:
        value = c_uint64()
        self.ok("aclrtMemcpy", byref(value), 8, address, 8, 2)
        return value.value

    def host(self, stream: c_void_p | None, function: Callable[[], None]) -> None:
        """Put a Python function on a stream."""
        wrapped = _HOST_FUNCTION(lambda _: function())
        self._alive.append(wrapped)
        self.ok("aclrtLaunchHostFunc", stream, wrapped, None)

    def block(self, stream: c_void_p | None) -> Gate:
        """Keep a stream busy until the gate that this returns is opened."""
        gate = Gate()
        self._gates.append(gate)
        self.host(stream, gate)
        return gate

    def open_all(self) -> None:
        for gate in self._gates:
            gate.open()

    def kernel(
        self, stream: c_void_p, function: Callable[[], None] = lambda: None, result: int = 0
    ) -> int:
        """Launch a stand-in for an operator's kernel; return the code of the launch.

        Raises
        ------
        NoKernelLauncherError
            If the library has no such stand-in; the test is skipped then.
        """
        if not self.is_simulator:
            raise NoKernelLauncherError

        def run(_: Any) -> int:
            function()
            return result

        wrapped = _HOST_TASK(run)
        self._alive.append(wrapped)
        code: int = self.ascendSimLaunchHostTask(stream, wrapped, None, KERNEL)
        return code

    def sync(self, stream: c_void_p | None) -> None:
        self.ok("aclrtSynchronizeStream", stream)

    # --- events ---

    def record(self, event: c_void_p, stream: c_void_p) -> None:
        self.ok("aclrtRecordEvent", event, stream)

    def wait(self, stream: c_void_p, event: c_void_p) -> None:
        self.ok("aclrtStreamWaitEvent", stream, event)

    def complete(self, event: c_void_p) -> bool:
        status = c_int()
        self.ok("aclrtQueryEventStatus", event, byref(status))
        return status.value == 1

    def elapsed(self, start: c_void_p, end: c_void_p) -> float:
        milliseconds = c_float()
        self.ok("aclrtEventElapsedTime", byref(milliseconds), start, end)
        return milliseconds.value

    # --- capture ---

    def begin(self, stream: c_void_p, mode: int = GLOBAL) -> None:
        self.ok("aclmdlRICaptureBegin", stream, mode)

    def end(self, stream: c_void_p) -> c_void_p:
        code, graph = self.try_end(stream)
        assert code == 0, self.message()
        return graph

    def try_end(self, stream: c_void_p) -> tuple[int, c_void_p]:
        graph = c_void_p(0xDEAD)
        code = self.aclmdlRICaptureEnd(stream, byref(graph))
        return code, graph

    def info(self, stream: c_void_p | None) -> tuple[int, c_void_p]:
        status, graph = c_int(-1), c_void_p(0xDEAD)
        self.ok("aclmdlRICaptureGetInfo", stream, byref(status), byref(graph))
        return status.value, graph

    def exchange_mode(self, mode: int) -> int:
        value = c_int(mode)
        self.ok("aclmdlRICaptureThreadExchangeMode", byref(value))
        return value.value

    def fork(self, origin: c_void_p, branch: c_void_p) -> None:
        event = self.event()
        self.record(event, origin)
        self.wait(branch, event)

    def join(self, branch: c_void_p, origin: c_void_p) -> None:
        self.fork(branch, origin)

    def execute(self, graph: c_void_p, stream: c_void_p | None) -> None:
        self.ok("aclmdlRIExecuteAsync", graph, stream)

    def begin_group(self, stream: c_void_p) -> None:
        self.ok("aclmdlRICaptureTaskGrpBegin", stream)

    def end_group(self, stream: c_void_p) -> c_void_p:
        handle = c_void_p()
        self.ok("aclmdlRICaptureTaskGrpEnd", stream, byref(handle))
        return handle

    # --- numbers ---

    def memory(self) -> tuple[int, int]:
        free, total = c_size_t(), c_size_t()
        self.ok("aclrtGetMemInfo", 1, byref(free), byref(total))
        return free.value, total.value

    def streams_available(self) -> int:
        number = c_uint32()
        self.ok("aclrtGetStreamAvailableNum", byref(number))
        return number.value

    def device_info(self, attribute: int) -> int:
        value = c_int64()
        self.ok("aclrtGetDeviceInfo", 0, attribute, byref(value))
        return value.value

    def counters(self) -> dict[str, int]:
        size = c_uint64()
        address = self.ascendSimCounters(byref(size))
        block = ctypes.string_at(address, size.value)
        assert block[:8] == b"ASIMCNT1"
        number = int.from_bytes(block[8:16], "little")
        entries = [block[16 + 48 * i : 64 + 48 * i] for i in range(number)]
        return {
            entry[:40].rstrip(b"\0").decode(): int.from_bytes(entry[40:], "little")
            for entry in entries
        }


def in_thread(acl: Acl, function: Callable[[], Any]) -> Any:
    """Run a function in a new thread that has device 0 set, and return its result."""
    outcome: list[Any] = []

    def run() -> None:
        acl.ok("aclrtSetDevice", 0)
        try:
            outcome.append(function())
        finally:
            acl.ok("aclrtResetDevice", 0)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert outcome, "the function failed or did not end"
    return outcome[0]
