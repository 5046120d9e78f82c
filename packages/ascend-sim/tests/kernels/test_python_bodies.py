# SPDX-License-Identifier: Apache-2.0
"""Bodies that a program gives its kernels in Python."""

import ctypes
from ctypes import CDLL, POINTER, Structure, c_float, c_uint8, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acl_abi import Acl

import ascend_sim

VECTORS = [*[POINTER(c_float)] * 3, c_uint32]


def launch(acl: Acl, stub: CDLL, *buffers: c_void_p, count: int = 4) -> int:
    """Launch ``add_vectors`` and wait; the code of the synchronization."""
    stream = acl.stream()
    assert stub.launch_add_vectors(False, stream, *buffers, count) == 0
    return acl.aclrtSynchronizeStream(stream)


def test_the_decorator_returns_the_function() -> None:
    def body() -> None: ...

    assert ascend_sim.kernel("unused", args=[])(body) is body


def test_views_are_arrays_without_a_copy(acl: Acl, stub: CDLL) -> None:
    # given
    @ascend_sim.kernel("add_vectors", args=VECTORS)
    def add(x: Any, y: Any, z: Any, count: int) -> None:
        a, b = (np.asarray(ascend_sim.device_view(each, count)) for each in (x, y))
        assert a.dtype == np.float32
        assert not a.flags.writeable
        np.add(a, b, out=np.asarray(ascend_sim.device_view(z, count, writable=True)))

    x, z = acl.buffer(16, fill=0x40), acl.buffer(16)  # 0x40404040 is 3.0039...
    # when
    assert launch(acl, stub, x, x, z) == 0
    # then
    content = (c_float * 4)()
    acl.ok("aclrtMemcpy", content, 16, z, 16, 2)
    assert list(content) == [2 * np.uint32(0x40404040).view(np.float32)] * 4


def test_a_view_of_an_address_has_bytes(acl: Acl, stub: CDLL) -> None:
    @ascend_sim.kernel("add_vectors", args=[c_void_p, c_void_p, c_void_p, c_uint32])
    def swap(x: int, y: int, z: int, count: int) -> None:
        ascend_sim.device_view(z, count, writable=True)[:] = bytes(
            reversed(ascend_sim.device_view(x, count))
        )

    x, z = acl.buffer(), acl.buffer()
    acl.ok("aclrtMemcpy", x, 8, b"abcdefgh", 8, 1)
    assert launch(acl, stub, x, x, z, count=8) == 0
    content = (c_uint8 * 8)()
    acl.ok("aclrtMemcpy", content, 8, z, 8, 2)
    assert bytes(content) == b"hgfedcba"


def test_null_is_zero_or_a_pointer_that_is_false(acl: Acl, stub: CDLL) -> None:
    seen: list[Any] = []
    types = [c_void_p, POINTER(c_float), POINTER(c_float), c_uint32]
    ascend_sim.kernel("add_vectors", args=types)(
        lambda x, y, z, _: seen.append((x, bool(y), bool(z)))
    )
    assert launch(acl, stub, None, None, acl.buffer()) == 0
    assert seen == [(0, False, True)]


def test_an_exception_fails_the_stream_with_its_text_and_place(acl: Acl, stub: CDLL) -> None:
    @ascend_sim.kernel("add_vectors", args=VECTORS)
    def refuse(*_: Any) -> None:
        raise ValueError("no such expert: 129")

    assert launch(acl, stub, None, None, None) == 507015
    message = acl.message()
    assert "a task of add_vectors failed" in message
    assert "ValueError: no such expert: 129" in message
    assert "test_python_bodies.py:" in message


@pytest.mark.parametrize("address", [0, 0x1000, "host"])
def test_memory_out_of_reach_is_an_exception_and_no_crash(
    acl: Acl, stub: CDLL, address: int | str
) -> None:
    host = (c_float * 4)()
    where = ctypes.addressof(host) if address == "host" else address
    ascend_sim.kernel("add_vectors", args=VECTORS)(
        lambda x, _y, _z, count: ascend_sim.device_view(x, count)
    )
    assert launch(acl, stub, where, None, None) == 507015
    assert "KernelError" in acl.message()


def test_a_view_outside_a_body_is_refused() -> None:
    with pytest.raises(ascend_sim.KernelError, match="no body of a kernel runs on this thread"):
        ascend_sim.device_view(0x1000, 4)


def test_a_later_body_replaces_an_earlier_one_but_not_in_what_was_launched(
    acl: Acl, stub: CDLL
) -> None:
    seen: list[str] = []
    ascend_sim.kernel("add_vectors", args=VECTORS)(lambda *_: seen.append("first"))
    stream = acl.stream()
    acl.begin(stream)
    assert stub.launch_add_vectors(False, stream, None, None, None, 0) == 0
    graph = acl.end(stream)
    ascend_sim.kernel("add_vectors", args=VECTORS)(lambda *_: seen.append("second"))
    acl.execute(graph, stream)
    assert stub.launch_add_vectors(False, stream, None, None, None, 0) == 0
    acl.sync(stream)
    assert seen == ["first", "second"]


def test_a_body_goes_before_the_simulators_own(run: Any) -> None:
    # given a body of the simulator's, which has been used
    # when the program has one of its own
    result = run(
        """
        stream, x, y = acl.stream(), acl.buffer(), acl.buffer()
        block = bytes(x) + bytes(y) + bytes(c_uint64(2)) + bytes(8)

        def cast():
            assert stub.launch_raw(False, 3, stream, block, len(block)) == 0
            acl.sync(stream)

        cast()
        seen = []
        ascend_sim.kernel("cast_float_bfloat16_t", args=[c_void_p, c_void_p, c_uint32])(
            lambda _x, _y, count: seen.append(count)
        )
        cast()
        print(seen)
        """
    )
    # then
    assert result.stdout == "[2]\n"


class Pair(Structure):
    _fields_ = [("first", c_uint32), ("second", c_uint32)]


@pytest.mark.parametrize("wrong", [Pair, int, "float", ctypes.c_longdouble])
def test_types_that_kernels_do_not_take_are_refused(wrong: Any) -> None:
    with pytest.raises(ascend_sim.KernelError, match="cannot be an argument of a kernel"):
        ascend_sim.kernel("wrong", args=[wrong])


def test_on_an_npu_nothing_is_registered(program: Any) -> None:
    result = program(
        """
        import ascend_sim
        from ctypes import c_uint32
        print(ascend_sim.kernel("add", args=[c_uint32])(print) is print)
        """,
        device=False,
        ASCEND_SIM="off",
    )
    assert result.stdout == "True\n"


def test_a_program_may_end_while_a_body_runs(program: Any, host_library: Path) -> None:
    result = program(
        f"""
        import ctypes, time, ascend_sim
        from ctypes import c_void_p, c_uint32
        stub = ctypes.CDLL({str(host_library)!r})
        ascend_sim.kernel("add_vectors", args=[*[c_void_p] * 3, c_uint32])(
            lambda *_: time.sleep(0.2))
        for _ in range(5):
            assert stub.launch_add_vectors(False, None, None, None, None, 0) == 0
        """
    )
    assert result.stderr == ""
