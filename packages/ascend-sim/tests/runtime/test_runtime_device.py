# SPDX-License-Identifier: Apache-2.0
"""Devices, contexts, memory, limits, errors and configuration."""

import ctypes
import json
import threading
from collections.abc import Callable
from ctypes import byref, c_int, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from pathlib import Path

import pytest
from acl_abi import Acl

GIB, MIB = 1 << 30, 1 << 20


# --- devices and contexts ---


@pytest.mark.parametrize("device", [-1, 1000])
def test_a_device_that_does_not_exist_is_107001(acl: Acl, device: int) -> None:
    """api_impl.cc."""
    assert acl.aclrtSetDevice(device) == 107001


def test_a_thread_without_a_device_has_no_context(acl: Acl) -> None:
    """107002."""
    codes = []

    def run() -> None:
        device = c_int32()
        codes.append(acl.aclrtGetDevice(byref(device)))
        codes.append(acl.aclrtCreateStream(byref(c_void_p())))
        codes.append(acl.aclmdlRICaptureThreadExchangeMode(byref(c_int(0))))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert codes == [107002, 107002, 107002]


def test_the_last_reset_frees_and_one_more_is_507007(process: Callable[..., str]) -> None:
    """SetDevice counts its callers."""
    process(
        """
        acl.ok("aclrtSetDevice", 0)
        buffer, stream = acl.buffer(), acl.stream()
        acl.ok("aclrtResetDevice", 0)
        acl.sync(stream)  # one user is left
        acl.ok("aclrtResetDevice", 0)
        assert acl.aclrtSynchronizeStream(stream) == 107017
        assert acl.aclrtFree(buffer) == 107000
        assert acl.aclrtResetDevice(0) == 507007
        acl.ok("aclrtSetDevice", 0)
        assert acl.memory()[0] == acl.memory()[1]
        """
    )


def test_a_destroyed_context_is_an_invalid_handle(acl: Acl) -> None:
    """runtime_handle_guard.cc."""
    primary, context = c_void_p(), c_void_p()
    acl.ok("aclrtGetCurrentContext", byref(primary))
    acl.ok("aclrtCreateContext", byref(context), 0)
    stream = acl.stream()
    acl.ok("aclrtDestroyContext", context)
    assert acl.aclrtSetCurrentContext(context) == 107017
    assert acl.aclrtSynchronizeStream(stream) == 107017
    acl.ok("aclrtSetCurrentContext", primary)


def test_devices_are_as_configured(process: Callable[..., str]) -> None:
    """Number, chip and cores."""
    printed = process(
        """
        from ctypes import c_char_p, c_uint32, byref
        count = c_uint32()
        acl.ok("aclrtGetDeviceCount", byref(count))
        acl.aclrtGetSocName.restype = c_char_p
        cores = acl.device_info(102), acl.device_info(201)
        print(count.value, acl.aclrtGetSocName().decode(), *cores)
        """,
        '{"devices": 3, "soc": "Ascend910_9391"}',
    )
    assert printed.split() == ["3", "Ascend910_9391", "24", "48"]


def test_core_limits_prefer_stream_to_device_to_hardware(acl: Acl) -> None:
    """Advice for tiling; api_impl.cc."""
    stream, value = acl.stream(), c_uint32()
    hardware = acl.device_info(102)

    def of_thread() -> int:
        acl.ok("aclrtGetResInCurrentThread", 0, byref(value))
        return value.value

    assert of_thread() == hardware
    acl.ok("aclrtSetDeviceResLimit", 0, 0, 8)
    acl.ok("aclrtSetStreamResLimit", stream, 0, 4)
    assert of_thread() == 8
    acl.ok("aclrtUseStreamResInCurrentThread", stream)
    assert of_thread() == 4
    acl.ok("aclrtUnuseStreamResInCurrentThread", stream)
    assert of_thread() == 8
    acl.ok("aclrtResetDeviceResLimit", 0)
    assert of_thread() == hardware
    assert acl.aclrtSetDeviceResLimit(0, 0, hardware + 1) == 107000
    assert acl.aclrtSetDeviceResLimit(0, 2, 1) == 107000


# --- memory ---


def test_free_memory_falls_by_what_is_allocated(acl: Acl) -> None:
    """Sizes are rounded up to 32 bytes, plus 32; aclrtMallocAlign32 adds nothing."""
    before, total = acl.memory()
    assert before == total
    address, aligned = c_void_p(), c_void_p()
    acl.ok("aclrtMalloc", byref(address), 1000, 0)
    assert before - acl.memory()[0] == 1024 + 32
    acl.ok("aclrtMallocAlign32", byref(aligned), 1000, 0)
    assert before - acl.memory()[0] == 1024 + 32 + 1024
    acl.ok("aclrtFree", address)
    acl.ok("aclrtFree", aligned)
    assert acl.memory()[0] == before


def test_memory_that_the_chip_does_not_have_is_zero(acl: Acl) -> None:
    """GetMemInfo of an unsupported attribute; 0 is DDR, 4 HBM in huge pages."""
    free, total = c_size_t(1), c_size_t(1)
    acl.ok("aclrtGetMemInfo", 0, byref(free), byref(total))
    assert (free.value, total.value) == (0, 0)
    acl.ok("aclrtGetMemInfo", 4, byref(free), byref(total))
    assert (free.value, total.value) == acl.memory()


def test_more_than_the_device_has_is_207001_and_takes_nothing(acl: Acl) -> None:
    """torch_npu's retry depends on this code."""
    free, total = acl.memory()
    assert acl.aclrtMalloc(byref(c_void_p()), total, 0) == 207001
    assert acl.aclrtMalloc(byref(c_void_p()), 1 << 62, 0) == 207001
    assert acl.memory()[0] == free


def test_addresses_are_aligned(acl: Acl) -> None:
    """To 64 bytes at least; torch_npu expects 512."""
    assert all(acl.buffer(size).value % 512 == 0 for size in (1, 33, 4097))


def test_memory_calls_check_their_arguments(acl: Acl) -> None:
    """memory.cpp: the ACL layer."""
    address = c_void_p()
    assert acl.aclrtMalloc(byref(address), 0, 0) == 100000
    assert acl.aclrtMalloc(None, 8, 0) == 100000
    assert acl.aclrtFree(None) == 100000
    assert acl.aclrtFree(c_void_p(64)) == 107000
    assert acl.aclrtMallocHost(byref(address), 0) == 100000


def test_copies_check_room(acl: Acl) -> None:
    """api_error.cc."""
    buffer, host = acl.buffer(8), ctypes.create_string_buffer(16)
    assert acl.aclrtMemcpy(buffer, 8, host, 9, 1) == 107000
    assert acl.aclrtMemcpyAsync(buffer, 8, host, 9, 1, acl.stream()) == 107000
    assert acl.aclrtMemset(buffer, 8, 0, 9) == 107000
    assert acl.aclrtMemcpy(buffer, 8, host, 0, 1) == 0


def test_a_pageable_asynchronous_copy_waits_for_the_stream(acl: Acl) -> None:
    """It is a synchronization and a synchronous copy."""
    stream, buffer, host = acl.stream(), acl.buffer(), ctypes.create_string_buffer(b"\7")
    started = threading.Event()
    gate = acl.block(stream)
    threading.Timer(0.05, lambda: (started.set(), gate.open())).start()
    acl.ok("aclrtMemcpyAsync", buffer, 8, host, 1, 1, stream)
    assert started.is_set()
    assert acl.byte(buffer) == 7


def test_a_pinned_asynchronous_copy_does_not_wait(acl: Acl) -> None:
    """Pinned memory is truly asynchronous, in both directions."""
    stream, buffer, pinned = acl.stream(), acl.buffer(), c_void_p()
    acl.ok("aclrtMallocHost", byref(pinned), 8)
    ctypes.memset(pinned, 1, 8)
    gate = acl.block(stream)
    acl.ok("aclrtMemcpyAsync", buffer, 8, pinned, 8, 1, stream)
    ctypes.memset(pinned, 2, 8)  # a race the caller must not make: the copy reads this
    gate.open()
    acl.sync(stream)
    assert acl.byte(buffer) == 2
    acl.ok("aclrtFreeHost", pinned)


def test_registered_host_memory_counts_as_pinned(acl: Acl) -> None:
    """507910 and 507911 for the two wrong orders."""
    stream, buffer = acl.stream(), acl.buffer()
    host, device = ctypes.create_string_buffer(8), c_void_p()
    address = c_void_p(ctypes.addressof(host))
    register = acl.aclrtHostRegisterV2
    register.argtypes = [c_void_p, ctypes.c_uint64, c_uint32]
    assert register(address, 8, 2) == 0
    assert register(address, 8, 2) == 507910
    acl.ok("aclrtHostGetDevicePointer", address, byref(device), 0)
    gate = acl.block(stream)
    acl.ok("aclrtMemcpyAsync", device, 8, buffer, 8, 2, stream)  # returns: it did not synchronize
    gate.open()
    acl.sync(stream)
    acl.ok("aclrtHostUnregister", address)
    assert acl.aclrtHostUnregister(address) == 507911


def test_host_to_host_is_not_an_asynchronous_copy(acl: Acl) -> None:
    """207000."""
    one, other = c_void_p(), c_void_p()
    acl.ok("aclrtMallocHost", byref(one), 8)
    acl.ok("aclrtMallocHost", byref(other), 8)
    assert acl.aclrtMemcpyAsync(one, 8, other, 8, 0, acl.stream()) == 207000


class PhysicalMemProp(ctypes.Structure):
    """aclrtPhysicalMemProp: huge pages of device 0."""

    _fields_ = [
        ("handle_type", c_uint32),
        ("allocation_type", c_uint32),
        ("mem_attr", c_uint32),
        ("location_id", c_uint32),
        ("location_type", c_uint32),
        ("reserve", ctypes.c_uint64),
    ]


HUGE_ON_DEVICE = PhysicalMemProp(0, 0, 4, 0, 1, 0)


def test_physical_memory_is_accounted_and_mapped_into_reserved_addresses(acl: Acl) -> None:
    """The way of torch_npu's expandable segments."""
    before, base, handle, size = acl.memory()[0], c_void_p(), c_void_p(), c_size_t()
    acl.ok("aclrtMemGetAllocationGranularity", byref(HUGE_ON_DEVICE), 0, byref(size))
    assert size.value == 2 * MIB
    acl.ok("aclrtReserveMemAddress", byref(base), 8 * size.value, 0, None, 1)
    acl.ok("aclrtMallocPhysical", byref(handle), size.value, byref(HUGE_ON_DEVICE), 0)
    assert before - acl.memory()[0] == size.value
    second = c_void_p(base.value + size.value)
    acl.ok("aclrtMapMem", second, size.value, 0, handle, 0)
    stream = acl.stream()
    acl.fill(stream, second, 5)
    acl.sync(stream)
    assert acl.byte(second) == 5
    assert acl.aclrtReleaseMemAddress(base) == 107000  # still mapped
    acl.ok("aclrtUnmapMem", second)
    assert acl.aclrtUnmapMem(second) == 107000
    acl.ok("aclrtMapMem", base, size.value, 0, handle, 0)  # the same memory elsewhere
    assert acl.byte(base) == 5
    acl.ok("aclrtUnmapMem", base)
    acl.ok("aclrtFreePhysical", handle)
    assert acl.memory()[0] == before
    acl.ok("aclrtReleaseMemAddress", base)


def test_physical_memory_beyond_the_device_is_207001(acl: Acl) -> None:
    """torch_npu's expandable segments fall back on this code."""
    _, total = acl.memory()
    size = (total // (2 * MIB) + 1) * 2 * MIB
    code = acl.aclrtMallocPhysical(byref(c_void_p()), size, byref(HUGE_ON_DEVICE), 0)
    assert code == 207001


def test_physical_memory_comes_in_granules_and_only_pinned(acl: Acl) -> None:
    """virtual memory calls check their properties."""
    handle = c_void_p()
    assert acl.aclrtMallocPhysical(byref(handle), 4096, byref(HUGE_ON_DEVICE), 0) == 107000
    shared = PhysicalMemProp(1, 0, 4, 0, 1, 0)
    assert acl.aclrtMallocPhysical(byref(handle), 2 * MIB, byref(shared), 0) == 100000
    ddr = PhysicalMemProp(0, 0, 2, 0, 1, 0)
    assert acl.aclrtMallocPhysical(byref(handle), 2 * MIB, byref(ddr), 0) == 100000


# --- errors ---


def test_a_failing_kernel_surfaces_at_the_next_synchronization_and_stays_until_reset(
    acl: Acl,
) -> None:
    """507015, stored with the device."""
    stream = acl.stream()
    assert acl.kernel(stream, result=42) == 0  # the launch itself succeeds
    assert acl.aclrtSynchronizeStream(stream) == 507015
    text = acl.message()
    assert "ascendSimLaunchHostTask" in text
    assert "42" in text
    assert acl.aclrtSynchronizeDevice() == 507015
    assert acl.aclrtSynchronizeStream(acl.stream()) == 507015
    acl.ok("aclrtResetDeviceForce", 0)
    acl.ok("aclrtSetDevice", 0)
    acl.ok("aclrtSynchronizeDevice")


def test_a_kernel_that_fails_in_a_replay_surfaces_in_the_same_way(acl: Acl) -> None:
    """The kernel's code, not the graph's."""
    stream = acl.stream()
    acl.begin(stream)
    assert acl.kernel(stream, result=1) == 0
    graph = acl.end(stream)
    acl.execute(graph, stream)
    assert acl.aclrtSynchronizeStream(stream) == 507015


def test_a_context_that_continues_runs_the_work_after_a_failure(acl: Acl) -> None:
    """CONTINUE_ON_FAILURE, the default."""
    stream, trace = acl.stream(), list[str]()
    assert acl.kernel(stream, result=1) == 0
    assert acl.kernel(stream, lambda: trace.append("after")) == 0
    assert acl.aclrtSynchronizeStream(stream) == 507015
    assert trace == ["after"]


def test_a_context_that_stops_on_failure_drops_the_work_after_it(acl: Acl) -> None:
    """STOP_ON_FAILURE, of the whole context and for good."""
    stream, other, trace = acl.stream(), acl.stream(), list[str]()
    acl.ok("aclrtSetStreamFailureMode", stream, 1)
    acl.ok("aclrtSetStreamFailureMode", other, 1)
    assert acl.aclrtSetStreamFailureMode(other, 0) == 207000
    assert acl.aclrtSetStreamFailureMode(other, 2) == 107000
    gate = acl.block(stream)
    assert acl.kernel(stream, result=1) == 0
    assert acl.kernel(stream, lambda: trace.append("after")) == 0
    gate.open()
    assert acl.aclrtSynchronizeStream(stream) == 507015
    assert trace == []
    assert acl.kernel(other) == 507015


def test_the_text_of_an_error_is_of_its_thread_fetched_once_and_in_canns_shape(acl: Acl) -> None:
    """error_manager.cc: [PID: <n>] <time> <title>(<code>): <text>."""
    texts = []

    def run() -> None:
        acl.aclrtFree(None)
        texts.append(acl.message())
        texts.append(acl.message())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert acl.message() == ""
    first, again = texts
    assert first.startswith("[PID: ")
    assert "(EE1004): aclrtFree failed: devPtr is null" in first
    assert "ACL_ERROR_INVALID_PARAM" in first
    assert again == ""


def test_the_last_error_is_kept_by_peek_and_cleared_by_get(acl: Acl) -> None:
    """Per thread."""
    acl.aclrtGetLastError(0)
    acl.aclrtFree(None)
    assert acl.aclrtPeekAtLastError(0) == 100000
    assert acl.aclrtGetLastError(0) == 100000
    assert acl.aclrtGetLastError(0) == 0


# --- limits ---


def test_streams_are_limited_and_counted(process: Callable[..., str]) -> None:
    """207005 when the driver has no queue left; destroying one gives it back."""
    process(
        """
        import ctypes
        assert acl.streams_available() == 3
        streams = [acl.stream() for _ in range(3)]
        assert acl.streams_available() == 0
        assert acl.aclrtCreateStream(ctypes.byref(ctypes.c_void_p())) == 207005
        assert "streams" in acl.message()
        acl.ok("aclrtDestroyStream", streams.pop())
        assert acl.streams_available() == 1
        acl.stream()
        """,
        '{"streams": 3}',
    )


def test_events_are_limited(process: Callable[..., str]) -> None:
    """207007."""
    process(
        """
        import ctypes
        events = [acl.event() for _ in range(2)]
        assert acl.aclrtCreateEventExWithFlag(ctypes.byref(ctypes.c_void_p()), 1) == 207007
        acl.ok("aclrtDestroyEvent", events.pop())
        acl.event()
        """,
        '{"events": 2}',
    )


# Two graphs of two streams each.
_TWO_GRAPHS = """
        import ctypes
        origin, branch = acl.stream(), acl.stream()
        def capture():
            acl.begin(origin)
            acl.fork(origin, branch)
            acl.join(branch, origin)
            return acl.end(origin)
        one, other = capture(), capture()
"""


def test_a_graph_takes_queues_at_its_first_execution_not_at_capture(
    process: Callable[..., str],
) -> None:
    """Software queues: N streams of a graph bind N queues, which stay bound."""
    process(
        _TWO_GRAPHS
        + """
        assert acl.streams_available() == 8
        for _ in range(2):
            acl.execute(one, origin)
            acl.sync(origin)
            assert acl.streams_available() == 6
        acl.ok("aclrtResetDeviceForce", 0)
        acl.ok("aclrtSetDevice", 0)
        assert acl.streams_available() == 10
        """,
        '{"streams": 10}',
    )


def test_idle_graphs_give_their_queues_to_others(process: Callable[..., str]) -> None:
    """capture_mode_try_recycle."""
    process(
        _TWO_GRAPHS
        + """
        for graph in (one, other, one):
            acl.execute(graph, origin)
            acl.sync(origin)
        acl.stream()  # an ordinary stream takes from idle graphs too
        """,
        '{"streams": 4}',
    )


def test_a_graph_that_can_never_get_its_queues_fails_with_207005(
    process: Callable[..., str],
) -> None:
    """capture_model.cc, BuildSqCq."""
    process(
        _TWO_GRAPHS
        + """
        assert acl.aclmdlRIExecuteAsync(one, origin) == 207005
        acl.sync(origin)
        """,
        '{"streams": 3}',
    )


# --- configuration ---


def test_compute_off_skips_kernels_and_nothing_else(process: Callable[..., str]) -> None:
    """What is left is the host's cost."""
    printed = process(
        """
        stream, buffer, trace = acl.stream(), acl.buffer(), []
        assert acl.kernel(stream, lambda: trace.append("kernel"), result=1) == 0
        acl.host(stream, lambda: trace.append("host function"))
        acl.fill(stream, buffer, 1)
        acl.sync(stream)
        print(trace, acl.byte(buffer), acl.counters()["kernels_launched"])
        """,
        '{"compute": "off"}',
    )
    assert printed.strip() == "['host function'] 1 1"


def test_the_inline_schedule_runs_work_in_the_launching_call(process: Callable[..., str]) -> None:
    """Where the order allows it: behind a wait, work goes to the worker."""
    process(
        """
        stream, other, buffer, flag = acl.stream(), acl.stream(), acl.buffer(), acl.buffer()
        acl.fill(stream, buffer, 1)
        assert acl.byte(buffer) == 1  # no synchronization
        acl.ok("aclrtValueWait", flag, 1, 1, stream)
        acl.fill(stream, buffer, 2)
        assert acl.byte(buffer) == 1
        acl.ok("aclrtValueWrite", flag, 1, 0, other)
        acl.sync(stream)
        assert acl.byte(buffer) == 2
        """,
        '{"schedule": "inline"}',
    )


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (
            '{"device": 1}',
            "devices, soc, hbm_bytes, streams, events, sq, schedule, compute, counters_dir",
        ),
        ('{"devices": 0}', "devices must be an integer from 1 to 64"),
        ('{"devices": "2"}', "devices must be an integer"),
        ('{"soc": "Ascend910Z"}', "Ascend910B3"),
        ('{"sq": "both"}', '"hardware" or "software"'),
        ('{"schedule": "chaos"}', '"inline" or "threads"'),
        ('{"compute": true}', "neither an integer, a string nor null"),
        ('{"compute": "yes"}', '"on" or "off"'),
        ('{"streams": 3', "expected '}'"),
        ('{"streams": 3} x', "after the closing brace"),
        ('{"streams": 3, "streams": 4}', "stands twice"),
        ('{"counters_dir": "/nowhere"}', "/nowhere"),
        ("[]", "expected '{'"),
    ],
)
def test_a_wrong_configuration_fails_the_initialization_and_names_what_is_valid(
    process: Callable[..., str], config: str, named: str
) -> None:
    """Strict: no unknown key, no silent default."""
    printed = process("print(acl.aclInit(None), acl.message())", config, device=False)
    assert printed.startswith("100000 ")
    assert "ASCEND_SIM_CONFIG" in printed
    assert named in printed


def test_a_second_initialization_is_100002(acl: Acl) -> None:
    """aclInit."""
    assert acl.aclInit(None) == 100002


# --- counters ---


def test_counters_live_in_a_file_that_survives_the_process(
    process: Callable[..., str], tmp_path: Path
) -> None:
    """Readable by others at any time, also after a kill."""
    process(
        """
        import os
        stream, buffer = acl.stream(), acl.buffer(1000)
        for _ in range(3):
            assert acl.kernel(stream) == 0
        acl.begin(stream)
        acl.fill(stream, buffer, 1)
        assert acl.kernel(stream) == 0
        graph = acl.end(stream)
        for _ in range(4):
            acl.execute(graph, stream)
        acl.sync(stream)
        assert acl.byte(buffer) == 1
        os._exit(0)  # as a kill does: nothing is flushed or closed
        """,
        json.dumps({"counters_dir": str(tmp_path)}),
    )
    (file,) = tmp_path.glob("*.counters")
    block = file.read_bytes()
    assert block[:8] == b"ASIMCNT1"
    entries = [block[start : start + 48] for start in range(16, len(block), 48)]
    assert len(entries) == int.from_bytes(block[8:16], "little")
    values = {
        entry[:40].rstrip(b"\0").decode(): int.from_bytes(entry[40:], "little") for entry in entries
    }
    assert values["kernels_launched"] == 3
    assert values["tasks_captured"] == 2
    assert values["graphs_captured"] == 1
    assert values["graph_executions"] == 4
    assert values["graph_tasks_replayed"] == 8
    assert values["bytes_copied"] == 1
    assert values["bytes_allocated_peak"] == 1024 + 32


def test_launches_are_counted_by_operation(acl: Acl) -> None:
    """Captured launches included."""

    def count() -> int:
        return json.loads(acl.ascendSimOpCounts()).get("aclrtMemsetAsync", 0)

    stream, buffer, before = acl.stream(), acl.buffer(), count()
    acl.fill(stream, buffer, 1)
    acl.begin(stream)
    acl.fill(stream, buffer, 1)
    acl.end(stream)
    assert count() == before + 2


# --- versions ---


class PackageVersion(ctypes.Structure):
    """aclCANNPackageVersion."""

    _fields_ = [
        ("version", ctypes.c_char * 128),
        ("major", ctypes.c_char * 64),
        ("minor", ctypes.c_char * 64),
        ("release", ctypes.c_char * 64),
        ("patch", ctypes.c_char * 64),
        ("reserved", ctypes.c_char * 128),
    ]


def test_versions_are_those_of_cann_9_1(acl: Acl) -> None:
    """torch_npu's GetCANNInfo.cpp asks for both, and chooses its code paths by them."""
    version, text = PackageVersion(), ctypes.create_string_buffer(128)
    acl.ok("aclsysGetCANNVersion", 0, byref(version))
    assert (version.version, version.major, version.minor) == (b"9.1.0", b"9", b"1")
    assert acl.aclsysGetCANNVersion(8, byref(version)) == 100000
    acl.ok("aclsysGetVersionStr", b"runtime", text)
    assert text.value == b"9.1.0"


def test_attributes_and_capabilities_can_be_asked(acl: Acl) -> None:
    """NpuVariables.cpp asks whether arithmetic knows infinity (attribute 0)."""
    value, cores = c_int32(), c_int64()
    acl.ok("aclGetCannAttribute", 0, byref(value))
    assert value.value == 1
    acl.ok("aclGetDeviceCapability", 0, 0, byref(cores))
    assert cores.value == acl.device_info(101)
    assert acl.aclGetDeviceCapability(0, 99, byref(cores)) == 100000
