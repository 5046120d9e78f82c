# SPDX-License-Identifier: Apache-2.0
"""What is ours of devices: configuration, limits as a ledger, counters, versions."""

import ctypes
import json
from collections.abc import Callable
from ctypes import byref, c_int32, c_int64, c_uint32, c_void_p
from pathlib import Path

import pytest
from acl_abi import Acl

# --- devices and contexts ---


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


# --- streams ---


def test_the_overflow_switch_of_a_stream_is_kept(acl: Acl) -> None:
    """Off at first, each stream's own, and not to be turned while the stream is captured."""
    stream, other = acl.stream(), acl.stream()

    def switch(of: c_void_p | None) -> int:
        flag = c_uint32(7)
        acl.ok("aclrtGetStreamOverflowSwitch", of, byref(flag))
        return flag.value

    assert (switch(stream), switch(None)) == (0, 0)
    acl.ok("aclrtSetStreamOverflowSwitch", stream, 1)
    assert (switch(stream), switch(other), switch(None)) == (1, 0, 0)
    assert acl.aclrtSetStreamOverflowSwitch(stream, 2) == 107000
    assert acl.aclrtGetStreamOverflowSwitch(stream, None) == 100000
    acl.begin(stream)
    assert acl.aclrtSetStreamOverflowSwitch(stream, 0) == 107027
    assert switch(stream) == 1
    acl.end(stream)
    acl.ok("aclrtSetStreamOverflowSwitch", stream, 0)
    assert switch(stream) == 0


# --- limits ---


def test_an_executed_graph_takes_memory_for_its_queue_entries(process: Callable[..., str]) -> None:
    """At least 32 KiB for each captured stream, more in powers of two; 64 bytes for a task."""
    process(
        """
        stream = acl.stream()
        def memory_of(tasks):
            acl.begin(stream)
            for _ in range(tasks):
                assert acl.kernel(stream) == 0
            graph, before = acl.end(stream), acl.memory()[0]
            for _ in range(2):
                acl.execute(graph, stream)
                acl.sync(stream)
            return before - acl.memory()[0]
        assert memory_of(0) == memory_of(512) == 32 << 10
        assert memory_of(513) == 64 << 10
        """,
        '{"sq": "software"}',
    )


# --- sizes that cannot be ---


@pytest.mark.parametrize("size", [1 << 62, (1 << 64) - 1])
def test_more_addresses_than_there_are_cannot_be_reserved(acl: Acl, size: int) -> None:
    assert acl.aclrtReserveMemAddress(byref(c_void_p()), size, 0, None, 0) == 207001


@pytest.mark.parametrize("location", [0, 1], ids=["host", "device"])
def test_more_physical_memory_than_there_is_is_207001(acl: Acl, location: int) -> None:
    properties = (c_uint32 * 8)(0, 0, 1, 0, location)
    assert acl.aclrtMallocPhysical(byref(c_void_p()), 1 << 62, properties, 0) == 207001


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
            "devices, soc, hbm_bytes, streams, events, tenants, partition, sq, schedule, compute, "
            "limits, numerics, check, faults, timeline, counters_dir",
        ),
        ('{"devices": 0}', "devices must be an integer from 1 to 64"),
        ('{"devices": "2"}', "devices must be an integer"),
        ('{"soc": "Ascend910Z"}', "Ascend910B3"),
        ('{"sq": "both"}', '"hardware" or "software"'),
        ('{"schedule": "chaos"}', '"inline" or "chaos:SEED"'),
        ('{"limits": "none"}', '"device" or "off"'),
        ('{"numerics": "cpu"}', '"npu" or "exact"'),
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


def test_a_thread_that_chose_no_device_uses_the_default_one(
    process: Callable[..., str], tmp_path: Path
) -> None:
    """aclInit's file (CANN's guide "Initialization"); torch_npu names device 0 there."""
    file = tmp_path / "acl.json"
    file.write_text('{"dump": {"dump_scene": "lite"}, "defaultDevice": {"default_device": "1"}}')
    process(
        f"""
        import threading
        from ctypes import byref, c_int32, c_void_p
        device = c_int32()
        assert acl.aclrtGetDevice(byref(device)) == 107002
        acl.ok("aclInit", {str(file)!r}.encode())
        acl.ok("aclrtGetDevice", byref(device))
        assert device.value == 1

        def choose():
            own = c_int32()
            acl.ok("aclrtSetDevice", 0)
            acl.ok("aclrtGetDevice", byref(own))
            chosen.append(own.value)

        stream, context, again, chosen = acl.stream(), c_void_p(), [], []
        acl.sync(stream)
        acl.ok("aclrtGetCurrentContext", byref(context))
        thread = threading.Thread(target=choose)
        thread.start()
        thread.join()
        assert chosen == [0]
        acl.ok("aclrtGetDevice", byref(device))
        assert device.value == 1

        def follow():
            other = c_void_p()
            acl.ok("aclrtGetCurrentContext", byref(other))
            again.append(other.value)

        thread = threading.Thread(target=follow)
        thread.start()
        thread.join()
        assert again == [context.value]
        acl.ok("aclrtResetDevice", 1)  # its only user
        assert acl.aclrtSynchronizeStream(stream) == 107017
        """,
        '{"devices": 2}',
        device=False,
    )


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
