# SPDX-License-Identifier: Apache-2.0
"""Arguments of a batched call, and the tensors that graphs use in their place."""

import inspect
from collections.abc import Callable, Collection, Hashable
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ascend_aclgraph._capture import active_capture
from ascend_aclgraph._graph import Graph
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
    names
        For each leaf, the argument that it is in.
    batched
        For each leaf, whether it is a tensor with a batch dimension.
    signature
        Equal for calls that the same graphs can serve.
    """

    def __init__(self, bound: inspect.BoundArguments, unbatched: Collection[str]) -> None:
        self.bound = bound
        self.leaves: list[Any] = []
        self.names: list[str] = []
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
                self.names.append(name)
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
    """What the graphs of one signature read and write.

    A batched argument has a buffer, of which each size uses the first rows. An unbatched one is the
    caller's own tensor, until a call brings another: then it has a buffer too.

    Parameters
    ----------
    batch
        A call with the signature.
    largest
        Rows that the buffers of batched arguments have.
    number
        Of these inputs.
    copied
        Places of the unbatched arguments that have buffers.
    """

    def __init__(
        self, batch: Batch, largest: int, number: int, copied: frozenset[int] = frozenset()
    ) -> None:
        self.number = number
        self.copied = copied
        self._call_signature = batch.bound.signature
        self._specs = batch.specs
        self._batched = batch.batched
        with torch.inference_mode(False):  # calls in and out of inference mode write the buffers
            self._tensors = [
                leaf.new_zeros((largest, *leaf.shape[1:]))
                if batched
                else leaf.detach().clone()
                if place in copied
                else leaf
                for place, (leaf, batched) in enumerate(
                    zip(batch.leaves, batch.batched, strict=True)
                )
            ]

    def replaced(self, batch: Batch) -> frozenset[int]:
        """Places of the caller's own tensors for which a call brings others."""
        return frozenset(
            place
            for place, tensor in enumerate(self._tensors)
            if self._is_own(place) and not _is_same(tensor, batch.leaves[place])
        )

    def fill(self, batch: Batch, rows: int, size: int) -> None:
        """Copy the first `rows` rows of a batch in, and zeros up to `size`."""
        for place, (tensor, leaf) in enumerate(zip(self._tensors, batch.leaves, strict=True)):
            if self._batched[place]:
                tensor[:rows].copy_(leaf[:rows])
                if rows < size:
                    tensor[rows:size].zero_()
            elif place in self.copied:
                tensor.copy_(leaf)

    def call(self, fn: Callable[..., Any], size: int) -> Any:
        """Call the function on the first `size` rows.

        Outside of a capture (a warm-up) it gets copies of the caller's own tensors: what it writes
        there takes effect once per call, in the replay.
        """
        warm_up = active_capture() is None
        leaves = (
            tensor[:size]
            if batched
            else tensor.clone()
            if warm_up and self._is_own(place)
            else tensor
            for place, (tensor, batched) in enumerate(
                zip(self._tensors, self._batched, strict=True)
            )
        )
        arguments = {
            name: pytree.tree_unflatten([next(leaves) for _ in range(spec.num_leaves)], spec)
            for name, spec in self._specs.items()
        }
        bound = inspect.BoundArguments(self._call_signature, arguments)
        return fn(*bound.args, **bound.kwargs)

    def written_by(self, graph: Graph) -> frozenset[int]:
        """Places of the arguments that a graph writes into."""
        return frozenset(
            place
            for place, tensor in enumerate(self._tensors)
            if isinstance(tensor, torch.Tensor) and graph.writes_to(tensor)
        )

    def check_written(self, batch: Batch, written: Collection[int]) -> None:
        """Refuse a call in which a written argument shares memory with another one.

        Raises
        ------
        BatchInputError
            If one of the two is in a buffer, where the other's writes do not show.
        """
        for place in written:
            for other in range(len(batch.leaves)):
                own = self._is_own(place) and self._is_own(other)
                if place == other or own or not _overlap(batch.leaves[place], batch.leaves[other]):
                    continue
                raise BatchInputError(
                    f"the function writes into the argument {batch.names[place]!r}, which shares "
                    f"memory with the argument {batch.names[other]!r}; a graph has copies of them. "
                    "Pass a clone() of one of them."
                )

    def write_back(self, batch: Batch, rows: int, written: Collection[int]) -> None:
        """Copy what a replay wrote in place from the buffers into the caller's tensors."""
        for place in written:
            if self._batched[place]:
                batch.leaves[place].copy_(self._tensors[place][:rows])
            elif place in self.copied:
                batch.leaves[place].copy_(self._tensors[place])

    def _is_own(self, place: int) -> bool:
        """Whether the tensor in a place is the caller's."""
        return (
            isinstance(self._tensors[place], torch.Tensor)
            and not self._batched[place]
            and place not in self.copied
        )


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


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one shape and dtype are the same memory, seen in the same way."""
    return one is other or (one.data_ptr() == other.data_ptr() and one.stride() == other.stride())


def _overlap(one: Any, other: Any) -> bool:
    """Whether two values are tensors whose memory may overlap."""
    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return False
    (begin, end), (other_begin, other_end) = _span(one), _span(other)
    return begin < other_end and other_begin < end


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    """Addresses of the first byte of a tensor and of the one behind its last."""
    begin = tensor.data_ptr()
    if tensor.numel() == 0:
        return begin, begin
    sides = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((size - 1) * stride for size, stride in sides)
    return begin, begin + (last + 1) * tensor.element_size()
