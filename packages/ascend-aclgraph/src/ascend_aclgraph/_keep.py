# SPDX-License-Identifier: Apache-2.0
"""Which memory captured work touches, so that the graph can keep it alive."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch._C import DispatchKey
from torch.utils._python_dispatch import TorchDispatchMode

from ascend_aclgraph._pool import MemoryPool

__all__ = ["KeepAlive"]

# Operators of these libraries are kernels; what they call inside needs no watching.
_KERNEL_LIBRARIES = frozenset({"aten", "prims", "prim", "npu"})


class KeepAlive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collect every tensor that existed before the capture and that an operator in it touches.

    A captured task holds raw addresses. Those of the pool live as long as the graph; all others
    live only as long as somebody holds a tensor, and a closure that is kept alive does not promise
    that: what it refers to can be rebound. So the graph itself holds the tensors found here.

    Parameters
    ----------
    pool
        Pool of the capture; learns which addresses are its own.
    """

    supports_higher_order_operators = True

    def __init__(self, pool: MemoryPool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._pool = pool
        self._made_on_host: set[int] = set()
        self._kept: dict[int, torch.Tensor] = {}

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Tensors found so far; one per block of memory."""
        return tuple(self._kept.values())

    @classmethod
    def is_infra_mode(cls) -> bool:
        """Tell torch.compile to look through this mode: it changes no result."""
        return True

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        device_key = None
        for tensor in _tensors((*args, *kwargs.values())):
            self._note_input(tensor)
            if tensor.device.type == "npu":
                device_key = DispatchKey.PrivateUse1
        result = self._call(func, device_key, args, kwargs)
        for tensor in _tensors((result,)):
            self._note_output(tensor)
        return result

    def _call(
        self, func: Any, device_key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        opaque = getattr(func, "namespace", "aten") not in _KERNEL_LIBRARIES
        if not opaque or device_key is None:
            return func(*args, **kwargs)
        # An operator written in Python may reach for tensors that are not among its arguments (a KV
        # cache, say). Calling its kernel directly leaves this mode on for what the kernel calls.
        kernel: Callable[..., Any] = func._op_dk
        with self:
            return kernel(device_key, *args, **kwargs)

    def _note_input(self, tensor: torch.Tensor) -> None:
        block = _block(tensor)
        if block and block not in self._made_on_host and not self._pool.owns(tensor):
            self._kept.setdefault(block, tensor)

    def _note_output(self, tensor: torch.Tensor) -> None:
        block = _block(tensor)
        if not block or block in self._kept:
            return
        if tensor.device.type == "npu":
            self._pool.adopt(block)
        else:
            self._made_on_host.add(block)


def _block(tensor: torch.Tensor) -> int:
    """Address of the memory under a tensor; 0 if it has none of its own."""
    if tensor.layout is not torch.strided or tensor.device.type == "meta":
        return 0
    return tensor.untyped_storage().data_ptr()


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
