# SPDX-License-Identifier: Apache-2.0
"""A launch that cannot run makes its stream fail, by the kernel's name; nothing is silent."""

import ctypes
from ctypes import CDLL, c_uint32, c_uint64, c_void_p
from typing import Any

import pytest
from acl_abi import Acl

import ascend_sim

both_fronts = pytest.mark.parametrize("newer", [False, True], ids=["rt", "aclrt"])


def raw(stub: CDLL, newer: bool, key: int, stream: c_void_p, block: bytes) -> int:
    return stub.launch_raw(newer, key, stream, block, len(block))


@both_fronts
def test_a_kernel_without_a_body_fails_its_stream_by_name(
    acl: Acl, stub: CDLL, newer: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = acl.stream()
    assert raw(stub, newer, 1, stream, bytes(24)) == 0
    assert acl.aclrtSynchronizeStream(stream) == 507015
    message = acl.message()
    assert "ascend-sim has no body for the kernel bodiless" in message
    assert '@ascend_sim.kernel("bodiless"' in message
    assert capfd.readouterr() == ("", "")


def test_a_graph_with_such_a_kernel_fails_at_its_replay(acl: Acl, stub: CDLL) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert raw(stub, False, 1, stream, bytes(24)) == 0
    graph = acl.end(stream)
    acl.sync(stream)
    acl.execute(graph, stream)
    assert acl.aclrtSynchronizeStream(stream) == 507015
    assert "bodiless" in acl.message()


@both_fronts
def test_a_block_of_another_size_than_the_binary_says_fails_the_stream(
    acl: Acl, stub: CDLL, newer: bool
) -> None:
    stream = acl.stream()
    assert raw(stub, newer, 0, stream, bytes(48)) == 0
    assert acl.aclrtSynchronizeStream(stream) == 507015
    assert "the argument block of add_vectors has 48 bytes, its binary says 40" in acl.message()


def test_a_body_for_other_arguments_fails_the_stream(acl: Acl, stub: CDLL) -> None:
    ascend_sim.kernel("shrunk", args=[c_void_p, c_uint32])(lambda *_: None)
    stream = acl.stream()
    assert raw(stub, False, 2, stream, bytes(40)) == 0
    assert acl.aclrtSynchronizeStream(stream) == 507015
    assert "the argument block of shrunk has 40 bytes, the body here takes 24" in acl.message()


def test_memory_that_the_device_cannot_reach_fails_the_stream(acl: Acl, stub: CDLL) -> None:
    # given a body of the simulator's own, and memory of the host in place of the device's
    stream, source, target = acl.stream(), (ctypes.c_float * 4)(), acl.buffer()
    block = bytes(c_void_p(ctypes.addressof(source))) + bytes(target) + bytes(c_uint64(4))
    # when
    assert raw(stub, False, 3, stream, block + bytes(8)) == 0
    # then
    assert acl.aclrtSynchronizeStream(stream) == 507015
    assert "cast_float_bfloat16_t reads 16 bytes at 0x" in acl.message()


def test_a_number_without_a_kernel_is_an_error_of_the_call(acl: Acl, stub: CDLL) -> None:
    assert raw(stub, False, 99, acl.stream(), bytes(24)) == 107000
    assert "the binary has no kernel with the key 99" in acl.message()


def test_the_names_of_weak_functions_are_not_kernels(acl: Acl, stub: CDLL) -> None:
    assert raw(stub, False, 4, acl.stream(), bytes(24)) == 107000


def test_null_arguments_are_errors_of_the_call(acl: Acl) -> None:
    handle, number = c_void_p(), c_uint64()
    assert acl.rtRegisterAllKernel(None, ctypes.byref(handle)) == 100000
    assert acl.rtGetC2cCtrlAddr(None, ctypes.byref(number)) == 100000
    assert acl.aclrtBinaryLoadFromData(None, 0, None, ctypes.byref(handle)) == 100000
    assert acl.aclrtGetHardwareSyncAddr(None) == 100000
    assert acl.rtDevBinaryUnRegister(None) == 100000


def test_with_nothing_computed_kernels_are_launched_and_need_no_body(run: Any) -> None:
    result = run(
        """
        stream = acl.stream()
        ran = []
        ascend_sim.kernel("add_vectors", args=[*[c_void_p] * 3, c_uint32])(lambda *_: ran.append(1))
        assert stub.launch_add_vectors(False, stream, None, None, None, 1) == 0
        assert stub.launch_raw(False, 1, stream, bytes(24), 24) == 0
        acl.sync(stream)
        print(ran, acl.counters()["kernels_launched"])
        """,
        '{"compute": "off"}',
    )
    assert result.stdout == "[] 2\n"


def test_with_nothing_computed_a_wrong_launch_is_still_wrong(run: Any) -> None:
    result = run(
        """
        assert stub.launch_raw(False, 0, None, bytes(48), 48) == 0
        print(acl.aclrtSynchronizeStream(None))
        """,
        '{"compute": "off"}',
    )
    assert result.stdout == "507015\n"


HAZARD = """
@ascend_sim.kernel("add_vectors", args=[*[POINTER(c_float)] * 3, c_uint32])
def add_vectors(x, y, z, count):
    for each in (x, y):
        ascend_sim.device_view(each, count)
    ascend_sim.device_view(z, count, writable=True)

one, two, x, z = acl.stream(), acl.stream(), acl.buffer(), acl.buffer()
assert stub.launch_add_vectors(False, one, x, x, z, 2) == 0
{mend}
acl.fill(two, z, 1)
acl.ok("aclrtSynchronizeDevice")
print(acl.counters()["hazards"])
"""


@pytest.mark.parametrize(("mend", "hazards"), [("", 1), ("acl.fork(one, two)", 0)])
def test_the_check_for_hazards_sees_what_a_body_touches(run: Any, mend: str, hazards: int) -> None:
    result = run(HAZARD.format(mend=mend), '{"check": "hazards"}')
    assert result.stdout == f"{hazards}\n"
    assert ("add_vectors on stream" in result.stderr) == bool(hazards)


@pytest.mark.parametrize(("mend", "hazards"), [("", 1), ("acl.fork(one, two)", 0)])
def test_the_check_for_hazards_sees_what_a_body_of_the_simulator_touches(
    run: Any, mend: str, hazards: int
) -> None:
    code = f"""
        one, two, x, z = acl.stream(), acl.stream(), acl.buffer(), acl.buffer()
        block = bytes(x) + bytes(z) + bytes(c_uint64(2)) + bytes(8)
        assert stub.launch_raw(False, 3, one, block, len(block)) == 0
        {mend}
        acl.fill(two, z, 1)
        acl.ok("aclrtSynchronizeDevice")
        print(acl.counters()["hazards"])
        """
    result = run(code, '{"check": "hazards"}')
    assert result.stdout == f"{hazards}\n"
