# SPDX-License-Identifier: Apache-2.0
import ctypes
from concurrent.futures import ThreadPoolExecutor

import pytest

from ascend_core import Device, acl, errors

pytestmark = pytest.mark.sim

MIB = 1 << 20
NO_CONTEXT = 107002


def current_context() -> int | None:
    context = ctypes.c_void_p()
    acl.call("aclrtGetCurrentContext", ctypes.byref(context))
    return context.value


def test_a_device_has_the_name_of_its_chip(runtime):
    assert Device(0).name.startswith("Ascend")


def test_memory_that_is_allocated_is_no_longer_free(device):
    before = device.memory_info()
    block = ctypes.c_void_p()

    acl.call("aclrtMalloc", ctypes.byref(block), ctypes.c_size_t(64 * MIB), ctypes.c_int(0))
    during = device.memory_info()
    acl.call("aclrtFree", block)

    assert before.total == during.total
    assert before.free - during.free >= 64 * MIB
    assert device.memory_info().free == before.free


def test_streams_that_exist_are_no_longer_available(device):
    before = device.streams_available()
    handles = [ctypes.c_void_p() for _ in range(3)]

    for handle in handles:
        acl.call("aclrtCreateStream", ctypes.byref(handle))
    during = device.streams_available()
    for handle in handles:
        acl.call("aclrtDestroyStream", handle)

    assert before - during == 3
    assert device.streams_available() == before


USE_UP_STREAMS = """
import ctypes
from ascend_core import AclOutOfStreams, Device, acl
device = Device(0)
with device.active():
    made = 0
    try:
        while True:
            acl.call("aclrtCreateStream", ctypes.byref(ctypes.c_void_p()))
            made += 1
    except AclOutOfStreams as error:
        print(made > 0, device.streams_available(), error)
"""


def test_running_out_of_streams_is_an_error_that_says_what_to_reduce(run_simulated):
    shown = run_simulated(USE_UP_STREAMS, "--streams", "16")

    assert shown.startswith("True 0 aclrtCreateStream failed")
    assert "capture fewer sizes" in shown


def test_a_device_that_does_not_exist_is_refused(runtime):
    with pytest.raises(errors.AclInvalidArgument) as caught:
        Device(9999).memory_info()

    assert caught.value.code == 107001


def test_a_query_in_a_thread_without_a_context_leaves_none_behind(runtime):
    def code_after_a_query() -> int:
        Device(0).memory_info()
        with pytest.raises(errors.AclInvalidState) as caught:
            current_context()
        return caught.value.code

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(code_after_a_query).result() == NO_CONTEXT


def test_a_query_leaves_the_context_of_the_thread_current(device):
    before = current_context()

    device.memory_info()

    assert current_context() == before


def test_a_query_does_not_close_a_device_that_others_use(device):
    block = ctypes.c_void_p()
    acl.call("aclrtMalloc", ctypes.byref(block), ctypes.c_size_t(MIB), ctypes.c_int(0))

    Device(device.index).memory_info()

    acl.call("aclrtFree", block)  # would be refused if the reset had released it
