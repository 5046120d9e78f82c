# SPDX-License-Identifier: Apache-2.0
"""Kernels of a host library, launched the older way (rt...) and the newer one (aclrt...)."""

import ctypes
import struct
from ctypes import (
    CDLL,
    POINTER,
    byref,
    c_bool,
    c_double,
    c_float,
    c_int8,
    c_int64,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

import pytest
from acl_abi import Acl
from support.device_binary import DeviceKernel, device_elf

import ascend_sim

both_fronts = pytest.mark.parametrize("newer", [False, True], ids=["rt", "aclrt"])


@ascend_sim.kernel("add_vectors", args=[*[POINTER(c_float)] * 3, c_uint32])
def add_vectors(x: Any, y: Any, z: Any, count: int) -> None:
    a, b = (ascend_sim.device_view(each, count) for each in (x, y))
    out = ascend_sim.device_view(z, count, writable=True)
    for i in range(count):
        out[i] = a[i] + b[i]


def device_floats(acl: Acl, *numbers: float) -> c_void_p:
    memory = acl.buffer(4 * len(numbers))
    write_floats(acl, memory, *numbers)
    return memory


def write_floats(acl: Acl, memory: c_void_p, *numbers: float) -> None:
    content = struct.pack(f"{len(numbers)}f", *numbers)
    acl.ok("aclrtMemcpy", memory, len(content), content, len(content), 1)


def floats(acl: Acl, memory: c_void_p, count: int) -> tuple[float, ...]:
    content = ctypes.create_string_buffer(4 * count)
    acl.ok("aclrtMemcpy", content, 4 * count, memory, 4 * count, 2)
    return struct.unpack(f"{count}f", content.raw)


@both_fronts
def test_a_kernel_computes_with_its_arguments(acl: Acl, stub: CDLL, newer: bool) -> None:
    # given
    stream = acl.stream()
    x, y, z = device_floats(acl, 1, 2, 3), device_floats(acl, 10, 20, 30), acl.buffer(12)
    # when
    assert stub.launch_add_vectors(newer, stream, x, y, z, 3) == 0
    acl.sync(stream)
    # then
    assert floats(acl, z, 3) == (11, 22, 33)


@both_fronts
def test_arguments_of_every_type_are_found_where_the_compiler_put_them(
    acl: Acl, stub: CDLL, newer: bool
) -> None:
    # given a kernel of both kinds of cores, whose block begins with an address of its own
    seen: list[Any] = []
    types = [c_void_p, c_bool, c_uint16, c_int8, c_double, c_float, c_int64]
    ascend_sim.kernel("every_type", args=types)(lambda *values: seen.append(values))
    stream, out = acl.stream(), acl.buffer()
    # when
    assert stub.launch_every_type(newer, stream, out, True, 0xFFFE, -3, 1e300, 0.5, -(1 << 40)) == 0
    acl.sync(stream)
    # then
    assert seen == [(out.value, True, 0xFFFE, -3, 1e300, 0.5, -(1 << 40))]


@both_fronts
def test_a_captured_kernel_runs_at_every_replay(acl: Acl, stub: CDLL, newer: bool) -> None:
    # given
    stream = acl.stream()
    x, y, z = device_floats(acl, 1), device_floats(acl, 10), device_floats(acl, 0)
    acl.begin(stream)
    assert stub.launch_add_vectors(newer, stream, x, y, z, 1) == 0
    graph = acl.end(stream)
    assert floats(acl, z, 1) == (0,)
    # when
    results = []
    for number in (1, 2, 3):
        write_floats(acl, x, number)
        acl.execute(graph, stream)
        acl.sync(stream)
        results += floats(acl, z, 1)
    # then
    assert results == [11, 12, 13]


def test_the_order_of_a_stream_holds_for_kernels(acl: Acl, stub: CDLL) -> None:
    stream, x, y = acl.stream(), device_floats(acl, 1), device_floats(acl, 1)
    for _ in range(10):
        assert stub.launch_add_vectors(False, stream, x, y, y, 1) == 0
    acl.sync(stream)
    assert floats(acl, y, 1) == (11,)


def test_null_is_the_default_stream(acl: Acl, stub: CDLL) -> None:
    x, z = device_floats(acl, 2), acl.buffer()
    assert stub.launch_add_vectors(False, None, x, x, z, 1) == 0
    acl.sync(None)
    assert floats(acl, z, 1) == (4,)


def test_kernels_are_counted_by_name(acl: Acl, stub: CDLL) -> None:
    before = acl.counters()["kernels_launched"]
    x = device_floats(acl, 2)
    stub.launch_add_vectors(True, None, x, x, x, 1)
    acl.sync(None)
    assert acl.counters()["kernels_launched"] == before + 1
    assert b"add_vectors" in acl.ascendSimOpCounts()


def test_functions_are_found_by_number_by_symbol_and_by_name(acl: Acl) -> None:
    # given
    elf = device_elf(DeviceKernel("gather_12"), DeviceKernel("triton_fused"))
    binary, found = c_void_p(), {}
    acl.ok("aclrtBinaryLoadFromData", elf, ctypes.c_size_t(len(elf)), None, byref(binary))
    # when
    for name in ("gather", "gather_12", "triton_fused"):
        function = c_void_p()
        acl.ok("aclrtBinaryGetFunction", binary, name.encode(), byref(function))
        found[name] = function.value
    by_entry = c_void_p()
    acl.ok("aclrtBinaryGetFunctionByEntry", binary, c_uint64(12), byref(by_entry))
    # then
    assert found["gather"] == found["gather_12"] == by_entry.value != found["triton_fused"]
    assert acl.aclrtBinaryGetFunction(binary, b"scatter", byref(by_entry)) == 107000
    assert "no kernel called scatter" in acl.message()
    assert acl.aclrtBinaryGetFunctionByEntry(binary, c_uint64(3), byref(by_entry)) == 107000
    acl.ok("aclrtBinaryUnLoad", binary)
    assert acl.aclrtBinaryGetFunctionByEntry(binary, c_uint64(12), byref(by_entry)) == 107017


class LoadOption(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("value", c_uint32 * 4)]


class LoadOptions(ctypes.Structure):
    _fields_ = [("options", POINTER(LoadOption)), ("number", ctypes.c_size_t)]


@pytest.mark.parametrize(
    ("kind", "code", "why"),
    [(3, 207000, "AICPU"), (9, 107000, "the option 9 of a binary does not exist")],
)
def test_options_that_cannot_be_kept_are_refused(acl: Acl, kind: int, code: int, why: str) -> None:
    options = LoadOptions(ctypes.pointer(LoadOption(kind)), 1)
    binary = c_void_p()
    assert acl.aclrtBinaryLoadFromData(b"", 0, byref(options), byref(binary)) == code
    assert why in acl.message()


def test_a_program_ends_well_although_its_library_unregisters_at_exit(
    program: Any, host_library: Any
) -> None:
    result = program(
        f"""
        import ctypes
        stub = ctypes.CDLL({str(host_library)!r})
        assert stub.unload() == 0
        assert stub.launch_raw(False, ctypes.c_uint64(0), None, b"", 0) == 107017
        second = ctypes.CDLL({str(host_library)!r})
        """
    )
    assert result.stderr == ""


def test_a_library_registers_before_any_device_is_set(program: Any, host_library: Any) -> None:
    result = program(
        f"""
        import ctypes
        stub = ctypes.CDLL({str(host_library)!r})
        assert stub.unload() == 0
        """,
        device=False,
    )
    assert result.stderr == ""
