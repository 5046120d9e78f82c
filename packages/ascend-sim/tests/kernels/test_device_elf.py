# SPDX-License-Identifier: Apache-2.0
"""What a device binary says is read with care: any bytes are kernels or an error."""

import ctypes
import struct
from collections.abc import Callable
from ctypes import byref, c_size_t, c_void_p

import pytest
from acl_abi import Acl
from hypothesis import given, settings
from hypothesis import strategies as st
from support.device_binary import DeviceKernel, device_elf

ELF = device_elf(
    DeviceKernel("plain_0", 40), DeviceKernel("mixed_1_mix_aic", 64), DeviceKernel("named")
)
SHOFF = 40
SYMTAB = struct.unpack_from("<Q", ELF, SHOFF)[0] + 4 * 64  # the header of the section .symtab


def load(acl: Acl, elf: bytes) -> int:
    """Register a binary and forget it; the code of the first."""
    # Exactly as long as it is, and at an alignment of 4: behind it, reading would be an error.
    memory = ctypes.create_string_buffer(len(elf) + 4)
    start = ctypes.addressof(memory) + 4 - ctypes.addressof(memory) % 4
    ctypes.memmove(start, elf, len(elf))
    binary = c_void_p()
    code = acl.aclrtBinaryLoadFromData(c_void_p(start), c_size_t(len(elf)), None, byref(binary))
    if code == 0:
        acl.ok("aclrtBinaryUnLoad", binary)
    return code


def described(acl: Acl, elf: bytes) -> list[str]:
    library = acl.ascendSimDescribeKernels
    library.restype = ctypes.c_char_p
    return library(elf, ctypes.c_uint64(len(elf))).decode().splitlines()


def test_a_binary_is_read(acl: Acl) -> None:
    assert load(acl, ELF) == 0
    assert described(acl, ELF) == ["plain 0 40 -", "mixed 1 64 -", "named - - -"]


def test_the_halves_of_a_mixed_kernel_are_one(acl: Acl) -> None:
    halves = [DeviceKernel(f"attention_3_{half}", 120) for half in ("mix_aic", "mix_aiv")]
    assert described(acl, device_elf(*halves)) == ["attention 3 120 -"]


def test_one_number_for_two_kernels_is_an_error(acl: Acl) -> None:
    assert load(acl, device_elf(DeviceKernel("a_0"), DeviceKernel("b_0"))) == 107000
    assert "two kernels with the key 0: a and b" in acl.message()


def put(form: str, offset: int, value: int) -> Callable[[bytes], bytes]:
    def change(elf: bytes) -> bytes:
        content = bytearray(elf)
        struct.pack_into(form, content, offset, value)
        return bytes(content)

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(lambda elf: b"", "has 0 bytes", id="empty"),
        pytest.param(lambda elf: elf[:63], "has 63 bytes", id="half a header"),
        pytest.param(lambda elf: elf[:-1], "refers to", id="cut off"),
        pytest.param(put("<B", 4, 1), "not a 64-bit", id="of 32 bits"),
        pytest.param(put("<B", 0, 0), "not a 64-bit little-endian ELF file", id="no ELF file"),
        pytest.param(put("<Q", SHOFF, 2**64 - 8), "refers to", id="sections that wrap around"),
        pytest.param(put("<H", 58, 40), "section headers of 40 bytes", id="other headers"),
        pytest.param(put("<Q", SYMTAB + 24, 2**63), "refers to", id="symbols out of the file"),
        pytest.param(put("<I", SYMTAB + 40, 77), "refers to section 77", id="names of no section"),
    ],
)
def test_a_damaged_binary_is_refused(acl: Acl, change: Callable[[bytes], bytes], why: str) -> None:
    assert load(acl, change(ELF)) == 107000
    assert why in acl.message()


@settings(max_examples=2000, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(ELF) - 1), st.integers(0, 255)), max_size=12),
    length=st.integers(0, len(ELF)),
)
def test_no_damage_is_worse_than_an_error(
    runtime: Acl, changes: list[tuple[int, int]], length: int
) -> None:
    content = bytearray(ELF)
    for at, value in changes:
        content[at] = value
    for elf in (bytes(content), bytes(content[:length])):
        assert load(runtime, elf) in (0, 107000)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400))
def test_nor_are_any_other_bytes(runtime: Acl, content: bytes) -> None:
    for elf in (content, ELF[:64] + content):
        assert load(runtime, elf) in (0, 107000)
