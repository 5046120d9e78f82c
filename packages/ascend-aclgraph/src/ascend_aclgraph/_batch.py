# SPDX-License-Identifier: Apache-2.0
"""Arguments of a batched call, and the buffers that graphs read in their place."""

import inspect
from collections.abc import Callable, Collection, Hashable
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ascend_aclgraph.errors import BatchInputError

__all__ = ["Batch", "StaticInputs"]


class Batch:
    """The arguments of one call, flattened.

    Attributes
    ----------
    rows
        Size of the batch.
    leaves
        Tensors and plain values, in order.
    batched
        For each leaf, whether it is a tensor with a batch dimension.
    signature
        Equal for calls that the same graphs can serve.
    """

    def __init__(self, bound: inspect.BoundArguments, unbatched: Collection[str]) -> None:
        self.bound = bound
        self.leaves: list[Any] = []
        self.batched: list[bool] = []
        self.specs: dict[str, pytree.TreeSpec] = {}
        rows: int | None = None
        for name, value in bound.arguments.items():
            leaves, self.specs[name] = pytree.tree_flatten(value)
            for leaf in leaves:
                batched = isinstance(leaf, torch.Tensor) and name not in unbatched
                if isinstance(leaf, torch.Tensor):
                    _check_device(name, leaf)
                if batched:
                    rows = _rows_of(name, leaf, rows)
                self.leaves.append(leaf)
                self.batched.append(batched)
        if rows is None:
            raise BatchInputError("no argument is a tensor with a batch dimension.")
        self.rows = rows
        self.signature = self._signature()

    def _signature(self) -> Hashable:
        return (
            tuple(self.specs.items()),
            tuple(map(_leaf_signature, self.leaves, self.batched)),
        )


class StaticInputs:
    """Inputs of the graphs of one signature: each size uses the first rows of the same buffers.

    Parameters
    ----------
    batch
        A call with the signature.
    largest
        Rows that the buffers have.
    number
        Of the signature.
    """

    def __init__(self, batch: Batch, largest: int, number: int) -> None:
        self.number = number
        self._call_signature = batch.bound.signature
        self._specs = batch.specs
        self._batched = batch.batched
        with torch.inference_mode(False):  # calls in and out of inference mode write the buffers
            self._buffers = [
                _buffer(leaf, batched, largest)
                for leaf, batched in zip(batch.leaves, batch.batched, strict=True)
            ]

    def fill(self, batch: Batch, rows: int, size: int) -> None:
        """Copy the first `rows` rows of a batch in, and zeros up to `size`."""
        for buffer, leaf, batched in zip(self._buffers, batch.leaves, self._batched, strict=True):
            if batched:
                buffer[:rows].copy_(leaf[:rows])
                if rows < size:
                    buffer[rows:size].zero_()
            elif isinstance(leaf, torch.Tensor):
                buffer.copy_(leaf)

    def call(self, fn: Callable[..., Any], size: int) -> Any:
        """Call the function on the first `size` rows."""
        leaves = iter(
            buffer[:size] if batched else buffer
            for buffer, batched in zip(self._buffers, self._batched, strict=True)
        )
        arguments = {
            name: pytree.tree_unflatten([next(leaves) for _ in range(spec.num_leaves)], spec)
            for name, spec in self._specs.items()
        }
        bound = inspect.BoundArguments(self._call_signature, arguments)
        return fn(*bound.args, **bound.kwargs)


def _check_device(name: str, tensor: torch.Tensor) -> None:
    if tensor.device.type != "npu":
        raise BatchInputError(
            f"argument {name!r} is on {tensor.device}; inputs of a graph are on an NPU. "
            "Move it with .npu() first."
        )


def _rows_of(name: str, tensor: torch.Tensor, rows: int | None) -> int:
    own = tensor.shape[0] if tensor.dim() else None
    if own is None or (rows is not None and own != rows):
        expected = "a batch dimension" if rows is None else f"{rows} rows, as the others have"
        raise BatchInputError(
            f"argument {name!r} has shape {tuple(tensor.shape)} instead of {expected}. If it has "
            f"no batch dimension, pass unbatched=[{name!r}] to graphed()."
        )
    return own


def _leaf_signature(leaf: Any, batched: bool) -> Hashable:
    if isinstance(leaf, torch.Tensor):
        return tuple(leaf.shape[1:] if batched else leaf.shape), leaf.dtype, leaf.device
    # 1, 1.0 and True are equal, but a function may tell them apart.
    return type(leaf), leaf


def _buffer(leaf: Any, batched: bool, largest: int) -> Any:
    if batched:
        return leaf.new_zeros((largest, *leaf.shape[1:]))
    return leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf
