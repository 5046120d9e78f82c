# SPDX-License-Identifier: Apache-2.0
"""Which kernels a library built with Ascend C has, and which of them have a body.

The library embeds binaries for the device in sections of its own. libascendcl reads their symbols,
as it does when a program registers them.
"""

import ctypes
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ascend_sim._elf import machine, sections
from ascend_sim._errors import KernelError
from ascend_sim._library import library_path

__all__ = ["CustomKernel", "kernels", "listing"]

_DEVICE = 0x1029  # the machine of a device's ELF files
_CONTAINER = struct.Struct("<II")  # version, number of images
_IMAGE = struct.Struct("<III")  # kind of cores, room, bytes


@dataclass(frozen=True, slots=True)
class CustomKernel:
    """A kernel of a program.

    Attributes
    ----------
    name : str
        As in its source.
    key : int or None
        By which launches name it within its binary.
    block_bytes : int or None
        The size of its argument block, if the binary says so.
    body_bytes : int or None
        The size that its body takes; None when it has no body.
    """

    name: str
    key: int | None
    block_bytes: int | None
    body_bytes: int | None

    @property
    def status(self) -> str:
        """``"yes"``, ``"no"``, or that there is a body for other arguments."""
        if self.body_bytes is None:
            return "no"
        if self.block_bytes in (None, self.body_bytes):
            return "yes"
        return f"for {self.body_bytes} bytes"


def kernels(path: Path) -> list[CustomKernel]:
    """Return the kernels of a host library, or of a binary for the device, sorted by name.

    Raises
    ------
    KernelError
        If the file is neither, has no kernels, or is damaged.
    """
    found = [kernel for binary in _binaries(path) for kernel in _describe(binary)]
    if not found:
        raise KernelError(f"{path} has no kernels: it was not built with Ascend C")
    return sorted(found, key=lambda kernel: kernel.name)


def listing(selected: Sequence[CustomKernel]) -> list[str]:
    """Return one line per kernel: name, key, bytes of arguments, body; and one with the numbers."""
    width = max(len(kernel.name) for kernel in selected)
    lines = [f"{'kernel':<{width}}  {'key':>4}  {'bytes':>5}  body"]
    lines += [
        f"{k.name:<{width}}  {_or_dash(k.key):>4}  {_or_dash(k.block_bytes):>5}  {k.status}"
        for k in selected
    ]
    with_body = sum(kernel.status == "yes" for kernel in selected)
    return [*lines, f"{len(selected)} kernels, {with_body} with a body"]


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def _binaries(path: Path) -> Iterator[bytes]:
    try:
        if machine(path) == _DEVICE:
            yield path.read_bytes()
            return
        for name, content in sections(path).items():
            if name.startswith(".ascend.kernel."):
                yield from _images(content)
    except (ValueError, struct.error, IndexError) as error:
        raise KernelError(f"the kernels of {path} cannot be read: {error}") from error


def _images(container: bytes) -> Iterator[bytes]:
    version, number = _CONTAINER.unpack_from(container)
    if version != 1:
        raise ValueError(f"its images are of version {version}, known is 1")
    offset = _CONTAINER.size
    for _ in range(number):
        _cores, room, size = _IMAGE.unpack_from(container, offset)
        offset += _IMAGE.size
        yield container[offset : offset + size]
        offset += room


def _describe(binary: bytes) -> Iterator[CustomKernel]:
    library = ctypes.CDLL(str(library_path("libascendcl.so")))
    library.ascendSimDescribeKernels.restype = ctypes.c_char_p
    library.ascendSimDescribeKernels.argtypes = [ctypes.c_char_p, ctypes.c_uint64]
    library.aclGetRecentErrMsg.restype = ctypes.c_char_p
    text = library.ascendSimDescribeKernels(binary, len(binary))
    if text is None:
        raise KernelError(library.aclGetRecentErrMsg().decode().strip())
    for line in text.decode().splitlines():
        name, *numbers = line.split()
        yield CustomKernel(name, *(None if n == "-" else int(n) for n in numbers))
