# SPDX-License-Identifier: Apache-2.0
"""Bounds-checked strings: what does not fit never overruns and never passes for success."""

import ctypes

import pytest

from ascend_sim import library_path


@pytest.fixture(scope="module")
def c_sec() -> ctypes.CDLL:
    return ctypes.CDLL(str(library_path("libc_sec.so")))


def buffer() -> ctypes.Array:
    return ctypes.create_string_buffer(b"#" * 8, 8)


def size(value: int) -> ctypes.c_size_t:
    return ctypes.c_size_t(value)


def test_strcpy_copies_what_fits(c_sec) -> None:
    out = buffer()
    assert c_sec.strcpy_s(out, size(8), b"1234567") == 0
    assert out.value == b"1234567"


@pytest.mark.parametrize("source", [b"12345678", None])
def test_strcpy_empties_the_destination_when_it_fails(c_sec, source) -> None:
    out = buffer()
    assert c_sec.strcpy_s(out, size(8), source) != 0
    assert out.raw == b"\0" + b"#" * 7


def test_strcpy_without_room_touches_nothing(c_sec) -> None:
    out = buffer()
    assert c_sec.strcpy_s(out, size(0), b"") != 0
    assert out.raw == b"#" * 8


def test_snprintf_returns_the_length(c_sec) -> None:
    out = buffer()
    assert c_sec.snprintf_s(out, size(8), size(7), b"%d-%s", 12, b"ab") == 5
    assert out.value == b"12-ab"


def test_snprintf_cuts_at_count_and_says_so(c_sec) -> None:
    out = buffer()
    assert c_sec.snprintf_s(out, size(8), size(3), b"%s", b"abcdef") == -1
    assert out.value == b"abc"


def test_snprintf_empties_the_destination_when_it_is_too_small(c_sec) -> None:
    out = buffer()
    assert c_sec.snprintf_s(out, size(8), size(100), b"%s", b"abcdefgh") == -1
    assert out.value == b""
