# SPDX-License-Identifier: Apache-2.0
"""What ``nm -D`` and ``readelf`` tell of a shared library, on machines without binutils."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Symbol", "dynamic_symbols", "machine", "sections"]

_SHT_DYNSYM = 11
_STB_WEAK = 2
_SHN_UNDEF = 0

_HEADER = struct.Struct("<16s HHI QQQ I HHHHHH")
_SECTION = struct.Struct("<II QQQQ II QQ")
_SYMBOL = struct.Struct("<I BB H QQ")


@dataclass(frozen=True, slots=True)
class Symbol:
    """One dynamic symbol, defined here or needed from elsewhere."""

    name: str
    defined: bool
    weak: bool


def dynamic_symbols(path: Path) -> list[Symbol]:
    """Return the dynamic symbols of a 64-bit little-endian ELF file.

    Raises
    ------
    ValueError
        If the file is not one.
    """
    data = _content(path)
    headers = _section_headers(data)
    return [
        symbol
        for header in headers
        if header[1] == _SHT_DYNSYM
        for symbol in _symbols(data, header, strings=headers[header[6]][4])
    ]


def sections(path: Path) -> dict[str, bytes]:
    """Return the contents of the sections of a 64-bit little-endian ELF file, by name.

    Raises
    ------
    ValueError
        If the file is not one.
    """
    data = _content(path)
    headers = _section_headers(data)
    names = headers[_HEADER.unpack_from(data)[13]][4] if headers else 0
    return {
        _text(data, names + header[0]): data[header[4] : header[4] + header[5]]
        for header in headers
    }


def machine(path: Path) -> int:
    """Return the number of the machine that a 64-bit little-endian ELF file is for.

    Raises
    ------
    ValueError
        If the file is not one.
    """
    return int(_HEADER.unpack_from(_content(path))[2])


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < _HEADER.size:
        raise ValueError(f"{path} is not a 64-bit little-endian ELF file")
    return data


def _section_headers(data: bytes) -> list[tuple[int, ...]]:
    header = _HEADER.unpack_from(data)
    offset, size, count = header[6], header[11], header[12]
    return [_SECTION.unpack_from(data, offset + index * size) for index in range(count)]


def _symbols(data: bytes, section: tuple[int, ...], strings: int) -> Iterator[Symbol]:
    table = data[section[4] : section[4] + section[5]]
    for name, info, _other, index, _value, _size in _SYMBOL.iter_unpack(table):
        if text := _text(data, strings + name):
            yield Symbol(text, defined=index != _SHN_UNDEF, weak=info >> 4 == _STB_WEAK)


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()
