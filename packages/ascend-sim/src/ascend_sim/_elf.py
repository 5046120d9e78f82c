# SPDX-License-Identifier: Apache-2.0
"""Dynamic symbols of a shared library, as ``nm -D`` gives them, on machines without binutils."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Symbol", "dynamic_symbols"]

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
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{path} is not a 64-bit little-endian ELF file")
    return list(_read(data))


def _read(data: bytes) -> Iterator[Symbol]:
    header = _HEADER.unpack_from(data)
    offset, size, count = header[6], header[11], header[12]
    sections = [_SECTION.unpack_from(data, offset + index * size) for index in range(count)]
    for section in sections:
        if section[1] != _SHT_DYNSYM:
            continue
        strings = sections[section[6]][4]
        table = data[section[4] : section[4] + section[5]]
        for name, info, _other, index, _value, _size in _SYMBOL.iter_unpack(table):
            start = strings + name
            text = data[start : data.index(b"\0", start)].decode()
            if text:
                yield Symbol(text, defined=index != _SHN_UNDEF, weak=info >> 4 == _STB_WEAK)
