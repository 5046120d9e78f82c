# SPDX-License-Identifier: Apache-2.0
"""Kernels launched as the host stubs of Ascend C launch them, with tensors of the CPU around."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_uint32, c_uint64, c_void_p
from typing import Any

import torch
from acl_abi import Acl
from support.device_binary import DeviceKernel, device_elf
from xlite_blocks import BLOCKS

__all__ = ["Kernels", "block_of", "f32", "i64", "u32", "u64"]

f32, i64, u32, u64 = ctypes.c_float, ctypes.c_int64, ctypes.c_uint32, ctypes.c_uint64

_TO_DEVICE, _TO_HOST = 1, 2
_VECTOR_CORES = 0x41415246
_KEY = 7


class _Binary(ctypes.Structure):
    _fields_ = [
        ("magic", c_uint32),
        ("version", c_uint32),
        ("data", c_void_p),
        ("bytes", c_uint64),
    ]


class _Arguments(ctypes.Structure):
    _fields_ = [
        ("block", c_void_p),
        ("host_inputs", c_void_p),
        ("bytes", c_uint32),
        ("reserved", c_uint32 * 5),
    ]


def block_of(values: list[Any], *, mixed: bool) -> bytes:
    """Pack ctypes values and addresses (int, None) as a host stub does.

    Each is at its natural alignment but at least 4; the whole is rounded up to 8; 8 bytes follow. A
    kernel for both kinds of cores has 8 bytes in front.
    """
    block = bytearray(8 if mixed else 0)
    for value in values:
        if isinstance(value, bool):
            item = bytes(ctypes.c_bool(value))
        elif value is None or isinstance(value, int):
            item = bytes(c_uint64(value or 0))
        else:
            item = bytes(value)
        align = max(4, len(item))
        block += bytes(-len(block) % align) + item
    return bytes(block + bytes(-len(block) % 8) + bytes(8))


class Kernels:
    """Launches kernels of xlite by name.

    Parameters
    ----------
    acl : Acl
        The runtime, with its device set.
    """

    def __init__(self, acl: Acl) -> None:
        self._acl = acl
        self._stream = acl.stream()
        for name, types in {
            "rtRegisterAllKernel": [c_void_p, c_void_p],
            "rtDevBinaryUnRegister": [c_void_p],
            "rtKernelLaunchWithHandle": [c_void_p, c_uint64, c_uint32, *[c_void_p] * 4],
        }.items():
            getattr(acl, name).argtypes = types

    def upload(self, tensor: torch.Tensor) -> int:
        """Copy a dense tensor into device memory and return its address."""
        assert tensor.is_contiguous()
        address = c_void_p()
        size = max(tensor.nbytes, 1)
        self._acl.ok("aclrtMalloc", byref(address), size, 0)
        assert address.value is not None
        self._acl.ok("aclrtMemcpy", address, size, tensor.data_ptr(), tensor.nbytes, _TO_DEVICE)
        return address.value

    def download(self, address: int, tensor: torch.Tensor) -> None:
        """Copy device memory over the elements of a dense tensor."""
        self._acl.ok(
            "aclrtMemcpy", tensor.data_ptr(), tensor.nbytes, address, tensor.nbytes, _TO_HOST
        )

    def launch(self, name: str, *arguments: Any, stream: c_void_p | None = None) -> None:
        """Put a kernel on a stream; arguments are addresses (int, None), bool and ctypes values."""
        size, mixed = BLOCKS[name]
        block = block_of(list(arguments), mixed=mixed)
        assert len(block) == size, f"{name} takes {size} bytes in the wheel, not {len(block)}"
        with self._registered(name, size, mixed=mixed) as handle:
            memory = ctypes.create_string_buffer(block, len(block))
            given = _Arguments(ctypes.addressof(memory), None, len(block))
            self._acl.ok(
                "rtKernelLaunchWithHandle",
                *(handle, _KEY, 1, byref(given), None, stream or self._stream, None),
            )

    def wait(self) -> int:
        """Wait for the stream; return the code and leave its text to `Acl.message`."""
        return int(self._acl.aclrtSynchronizeStream(self._stream))

    def run(self, name: str, *arguments: Any) -> None:
        """Launch a kernel on copies of tensors, wait, and copy all of them back."""
        code = self.attempt(name, *arguments)
        assert code == 0, f"{name} -> {code}: {self._acl.message()}"

    def attempt(self, name: str, *arguments: Any) -> int:
        """As `run`, but return the code of the wait."""
        addresses = {id(a): self.upload(a) for a in arguments if isinstance(a, torch.Tensor)}
        self.launch(name, *(addresses.get(id(a), a) for a in arguments))
        code = self.wait()
        for argument in arguments:
            if isinstance(argument, torch.Tensor) and code == 0:
                self.download(addresses[id(argument)], argument)
        return code

    @contextmanager
    def _registered(self, name: str, size: int, *, mixed: bool) -> Iterator[c_void_p]:
        tails = ("_mix_aic", "_mix_aiv") if mixed else ("",)
        elf = device_elf(*(DeviceKernel(f"{name}_{_KEY}{tail}", size) for tail in tails))
        memory = ctypes.create_string_buffer(elf, len(elf))
        binary = _Binary(_VECTOR_CORES, 0, ctypes.addressof(memory), len(elf))
        handle = c_void_p()
        self._acl.ok("rtRegisterAllKernel", byref(binary), byref(handle))
        yield handle
        self._acl.ok("rtDevBinaryUnRegister", handle)
