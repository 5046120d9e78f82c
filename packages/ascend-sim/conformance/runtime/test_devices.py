# SPDX-License-Identifier: Apache-2.0
"""Devices and contexts."""

import os
import threading
from ctypes import byref, c_int, c_int32, c_uint32, c_void_p

import pytest
from acl_abi import Acl
from own_process import own_process
from rules import rule


@rule("section 5", "api_impl.cc")
@pytest.mark.parametrize("device", [-1, 1000])
def test_a_device_that_does_not_exist_is_107001(acl: Acl, device: int) -> None:
    assert acl.aclrtSetDevice(device) == 107001


@rule("section 1.3", "107002")
def test_a_thread_without_a_device_has_no_context(acl: Acl) -> None:
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


@rule("section 5", "SetDevice counts its callers")
@own_process()
def test_the_last_reset_frees_and_one_more_is_507007(acl: Acl) -> None:
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


@rule("section 5", "runtime_handle_guard.cc")
def test_a_destroyed_context_is_an_invalid_handle(acl: Acl) -> None:
    primary, context = c_void_p(), c_void_p()
    acl.ok("aclrtGetCurrentContext", byref(primary))
    acl.ok("aclrtCreateContext", byref(context), 0)
    stream = acl.stream()
    acl.ok("aclrtDestroyContext", context)
    assert acl.aclrtSetCurrentContext(context) == 107017
    assert acl.aclrtSynchronizeStream(stream) == 107017
    acl.ok("aclrtSetCurrentContext", primary)


@rule("section 5", "torch_npu's reading of ASCEND_RT_VISIBLE_DEVICES (npu/__init__.py)")
@pytest.mark.parametrize(
    ("visible", "number"),
    [("1", 1), ("0,2", 2), ("1,9,2", 1), ("1,x,2", 1), ("0;1", 1), ("2,1", 0), ("9", 0), ("", 0)],
)
@own_process(devices=4, device=False)
def test_a_process_has_the_devices_that_are_visible(acl: Acl, visible: str, number: int) -> None:
    """What follows a device that does not exist, or another character, is not read."""
    os.environ["ASCEND_RT_VISIBLE_DEVICES"] = visible
    count = c_uint32()
    acl.ok("aclrtGetDeviceCount", byref(count))
    assert count.value == number
    assert acl.aclrtSetDevice(number) == 107001


@rule("section 5", "api_impl.cc")
@own_process(devices=4, device=False)
def test_a_visible_device_is_zero_in_its_process_and_itself_on_the_machine(acl: Acl) -> None:
    os.environ["ASCEND_RT_VISIBLE_DEVICES"] = "2"
    acl.ok("aclrtSetDevice", 0)
    device = c_int32(-1)
    acl.ok("aclrtGetDevice", byref(device))
    assert device.value == 0
    acl.ok("aclrtGetLogicDevIdByUserDevId", 0, byref(device))
    assert device.value == 2
