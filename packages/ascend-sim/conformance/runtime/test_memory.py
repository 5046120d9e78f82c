# SPDX-License-Identifier: Apache-2.0
"""Memory, copies and virtual addresses."""

import ctypes
import threading
from ctypes import byref, c_size_t, c_uint32, c_void_p

from acl_abi import Acl
from rules import rule

GIB, MIB = 1 << 30, 1 << 20


@rule("section 4", "Sizes are rounded up to 32 bytes, plus 32; aclrtMallocAlign32 adds nothing")
def test_free_memory_falls_by_what_is_allocated(acl: Acl) -> None:
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


@rule("section 4", "GetMemInfo of an unsupported attribute; 0 is DDR, 4 HBM in huge pages")
def test_memory_that_the_chip_does_not_have_is_zero(acl: Acl) -> None:
    free, total = c_size_t(1), c_size_t(1)
    acl.ok("aclrtGetMemInfo", 0, byref(free), byref(total))
    assert (free.value, total.value) == (0, 0)
    acl.ok("aclrtGetMemInfo", 4, byref(free), byref(total))
    assert (free.value, total.value) == acl.memory()


@rule("section 4", "NPUCachingAllocator.cpp retries on this code")
def test_more_than_the_device_has_is_207001_and_takes_nothing(acl: Acl) -> None:
    free, total = acl.memory()
    assert acl.aclrtMalloc(byref(c_void_p()), total, 0) == 207001
    assert acl.aclrtMalloc(byref(c_void_p()), 1 << 62, 0) == 207001
    assert acl.memory()[0] == free


@rule("section 4", "To 64 bytes at least; torch_npu expects 512")
def test_addresses_are_aligned(acl: Acl) -> None:
    assert all((acl.buffer(size).value or 1) % 512 == 0 for size in (1, 33, 4097))


@rule("section 4", "memory.cpp: the ACL layer")
def test_memory_calls_check_their_arguments(acl: Acl) -> None:
    address = c_void_p()
    assert acl.aclrtMalloc(byref(address), 0, 0) == 100000
    assert acl.aclrtMalloc(None, 8, 0) == 100000
    assert acl.aclrtFree(None) == 100000
    assert acl.aclrtFree(c_void_p(64)) == 107000
    assert acl.aclrtMallocHost(byref(address), 0) == 100000


@rule("section 4", "api_error.cc")
def test_copies_check_room(acl: Acl) -> None:
    buffer, host = acl.buffer(8), ctypes.create_string_buffer(16)
    assert acl.aclrtMemcpy(buffer, 8, host, 9, 1) == 107000
    assert acl.aclrtMemcpyAsync(buffer, 8, host, 9, 1, acl.stream()) == 107000
    assert acl.aclrtMemset(buffer, 8, 0, 9) == 107000
    assert acl.aclrtMemcpy(buffer, 8, host, 0, 1) == 0


@rule("section 4", "It is a synchronization and a synchronous copy")
def test_a_pageable_asynchronous_copy_waits_for_the_stream(acl: Acl) -> None:
    stream, buffer, host = acl.stream(), acl.buffer(), ctypes.create_string_buffer(b"\7")
    started = threading.Event()
    gate = acl.block(stream)

    def start() -> None:
        started.set()
        gate.open()

    threading.Timer(0.05, start).start()
    acl.ok("aclrtMemcpyAsync", buffer, 8, host, 1, 1, stream)
    assert started.is_set()
    assert acl.byte(buffer) == 7


@rule("section 4", "Pinned memory is truly asynchronous, in both directions")
def test_a_pinned_asynchronous_copy_does_not_wait(acl: Acl) -> None:
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


@rule("section 4", "507910 and 507911 for the two wrong orders")
def test_registered_host_memory_counts_as_pinned(acl: Acl) -> None:
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


@rule("section 4", "207000")
def test_host_to_host_is_not_an_asynchronous_copy(acl: Acl) -> None:
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


@rule("section 4", "NPUCachingAllocator.cpp, expandable segments")
def test_physical_memory_is_accounted_and_mapped_into_reserved_addresses(acl: Acl) -> None:
    before, base, handle, size = acl.memory()[0], c_void_p(), c_void_p(), c_size_t()
    acl.ok("aclrtMemGetAllocationGranularity", byref(HUGE_ON_DEVICE), 0, byref(size))
    assert size.value == 2 * MIB
    acl.ok("aclrtReserveMemAddress", byref(base), 8 * size.value, 0, None, 1)
    acl.ok("aclrtMallocPhysical", byref(handle), size.value, byref(HUGE_ON_DEVICE), 0)
    assert before - acl.memory()[0] == size.value
    assert base.value is not None
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


@rule("section 4", "NPUCachingAllocator.cpp falls back on this code")
def test_physical_memory_beyond_the_device_is_207001(acl: Acl) -> None:
    _, total = acl.memory()
    size = (total // (2 * MIB) + 1) * 2 * MIB
    code = acl.aclrtMallocPhysical(byref(c_void_p()), size, byref(HUGE_ON_DEVICE), 0)
    assert code == 207001


@rule("section 4", "virtual memory calls check their properties")
def test_physical_memory_comes_in_granules_and_only_pinned(acl: Acl) -> None:
    handle = c_void_p()
    assert acl.aclrtMallocPhysical(byref(handle), 4096, byref(HUGE_ON_DEVICE), 0) == 107000
    shared = PhysicalMemProp(1, 0, 4, 0, 1, 0)
    assert acl.aclrtMallocPhysical(byref(handle), 2 * MIB, byref(shared), 0) == 100000
    ddr = PhysicalMemProp(0, 0, 2, 0, 1, 0)
    assert acl.aclrtMallocPhysical(byref(handle), 2 * MIB, byref(ddr), 0) == 100000
