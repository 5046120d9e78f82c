# SPDX-License-Identifier: Apache-2.0
"""Device binaries, written byte by byte as Ascend C's compiler lays them out."""

import struct
from dataclasses import dataclass

__all__ = ["DeviceKernel", "container", "device_elf"]

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_GLOBAL_FUNCTION, _WEAK_FUNCTION, _WEAK_OBJECT = 0x12, 0x22, 0x21


@dataclass(frozen=True)
class DeviceKernel:
    symbol: str
    block_bytes: int | None = None
    weak: bool = False


class _Names:
    def __init__(self) -> None:
        self.content = b"\0"

    def add(self, name: str) -> int:
        self.content += name.encode() + b"\0"
        return len(self.content) - len(name) - 1


def device_elf(*kernels: DeviceKernel) -> bytes:
    """An ELF file with a symbol for each kernel, and for the size of its arguments if given."""
    names, symbols, sizes = _Names(), bytes(_SYMBOL.size), b""
    for kernel in kernels:
        info = _WEAK_FUNCTION if kernel.weak else _GLOBAL_FUNCTION
        symbols += _SYMBOL.pack(names.add(kernel.symbol), info, 0, 1, 0, 64)
        if kernel.block_bytes is not None:
            name = names.add(kernel.symbol + "__")
            symbols += _SYMBOL.pack(name, _WEAK_OBJECT, 0, 2, len(sizes), 4)
            sizes += struct.pack("<I", kernel.block_bytes)
    section_names = _Names()
    code, sizes_at, names_at, symbols_at, section_names_at = map(
        section_names.add, (".text", "__CCE_KernelArgSize", ".strtab", ".symtab", ".shstrtab")
    )
    contents = [
        (code, 1, b"\0" * 64, 0),
        (sizes_at, 1, sizes, 0),
        (names_at, 3, names.content, 0),
        (symbols_at, 2, symbols, 3),  # linked to .strtab
        (section_names_at, 3, section_names.content, 0),
    ]
    body, headers = b"", _SECTION.pack(*[0] * 10)
    for name, kind, content, link in contents:
        at = _HEADER.size + len(body)
        entry = _SYMBOL.size if kind == 2 else 0
        headers += _SECTION.pack(name, kind, 0, 0, at, len(content), link, 0, 1, entry)
        body += content
    header = _HEADER.pack(
        b"\x7fELF\2\1\1" + bytes(9),
        2,
        0x1029,
        1,
        0,
        0,
        _HEADER.size + len(body),
        0,
        _HEADER.size,
        0,
        0,
        _SECTION.size,
        len(contents) + 1,
        len(contents),
    )
    return header + body + headers


def container(*binaries: bytes) -> bytes:
    """What a host library has in the section ``.ascend.kernel...``."""
    content = struct.pack("<II", 1, len(binaries))
    for binary in binaries:
        room = (len(binary) + 3) // 4 * 4
        content += struct.pack("<III", 1, room, len(binary)) + binary.ljust(room, b"\0")
    return content
