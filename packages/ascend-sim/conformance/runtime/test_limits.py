# SPDX-License-Identifier: Apache-2.0
"""Core limits."""

from ctypes import byref, c_uint32

from acl_abi import Acl
from rules import rule


@rule("case 59", "Advice for tiling; api_impl.cc")
def test_core_limits_prefer_stream_to_device_to_hardware(acl: Acl) -> None:
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
