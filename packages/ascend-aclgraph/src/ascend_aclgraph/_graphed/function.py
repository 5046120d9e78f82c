# SPDX-License-Identifier: Apache-2.0
"""A function of batches, run through graphs."""

import inspect
import itertools
import logging
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from ascend_core.options import UnknownKeyError
from torch.utils import _pytree as pytree

from ascend_aclgraph import _native
from ascend_aclgraph._cache import GraphCache
from ascend_aclgraph._closing import Closing
from ascend_aclgraph._graph import Graph
from ascend_aclgraph._graphed.batch import Batch, StaticInputs
from ascend_aclgraph._graphed.ladder import Ladder
from ascend_aclgraph._options import CaptureOptions
from ascend_aclgraph._pool import MemoryPool
from ascend_aclgraph._stats import GraphStats
from ascend_aclgraph.errors import BatchInputError, UpdateError

__all__ = ["GraphKey", "Graphed", "graphed"]

_logger = logging.getLogger(__name__)

_MANY_SIGNATURES = 8


@dataclass(frozen=True, slots=True)
class GraphKey:
    """What a graph of a graphed function is for.

    Attributes
    ----------
    size
        Rows of its batch.
    signature
        Number of the combination of argument shapes, dtypes and plain values, in order of use.
    """

    size: int
    signature: int = 0

    def __str__(self) -> str:
        return f"{self.size}#{self.signature}" if self.signature else str(self.size)


def graphed(
    fn: Callable[..., Any],
    batch_sizes: Iterable[int] = (1, 2, 4, 8),
    *,
    unbatched: Collection[str] = (),
    example_inputs: tuple[Any, ...] | None = None,
    copy_outputs: bool = True,
    pool: MemoryPool | None = None,
    options: CaptureOptions | None = None,
) -> "Graphed":
    """Make a function or module run through graphs, for inference.

    A call pads the batch to the nearest size that has a graph, copies the arguments into the
    graph's inputs, replays, and cuts the result back. A batch larger than the largest size runs
    eagerly, which is counted (`GraphStats.eager_calls`) and logged once.

    What operators write in place into the arguments (as their schemas declare) is there after the
    call: rows of batched arguments are copied back, unbatched tensors are used as they are. Graphs
    hold the unbatched tensors of the first call; once a call brings another one, that argument is
    copied in, and back, at every call. A batch that would need padding runs eagerly if the function
    writes into unbatched tensors, for rows of padding would write there too.

    Parameters
    ----------
    fn
        Function or module. Each row of its results must depend on the same row of its arguments
        only: rows of padding (zeros) are computed as well.
    batch_sizes
        Sizes to capture; `Ladder.up_to(n)` makes the usual ones.
    unbatched
        Names of arguments whose tensors have no batch dimension. All other tensors have the batch
        as dimension 0.
    example_inputs
        Positional arguments to capture all sizes with at once, largest first, which takes the least
        memory; by default each size is captured at its first use. See also `Graphed.capture`.
    copy_outputs
        Return copies. Without them, results are views that the next call overwrites.
    pool
        Memory of the graphs; by default a new pool.
    options
        How each size is captured; by default `CaptureOptions()`.

    Returns
    -------
    Graphed
        Called like `fn`; results carry no gradient.

    Raises
    ------
    OptionError
        If `batch_sizes` or `options` cannot be used.
    UnknownKeyError
        If `unbatched` names no argument of the function.
    """
    options = CaptureOptions.of(options)
    cache = GraphCache(pool=pool)
    result = Graphed(fn, Ladder(batch_sizes), unbatched, copy_outputs, cache, options)
    if example_inputs is not None:
        result.capture(*example_inputs)
    return result


class Graphed(Closing):
    """A function of batches, run through graphs. Made by `graphed`.

    Not for use by several threads at once: the inputs of its graphs are shared.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        ladder: Ladder,
        unbatched: Collection[str],
        copy_outputs: bool,
        cache: GraphCache,
        options: CaptureOptions,
    ) -> None:
        self.ladder = ladder
        self._fn = fn
        self._call_signature = inspect.signature(
            fn.forward if isinstance(fn, torch.nn.Module) else fn
        )
        for name in unbatched:
            if name not in self._call_signature.parameters:
                raise UnknownKeyError(name, tuple(self._call_signature.parameters), "unbatched")
        self._unbatched = frozenset(unbatched)
        self._copy_outputs = copy_outputs
        self._cache = cache
        self._options = options
        self._inputs: dict[Hashable, StaticInputs] = {}
        self._numbers = itertools.count()
        self._written: dict[GraphKey, frozenset[int]] = {}
        self._warned: set[str] = set()

    @property
    def stats(self) -> GraphStats:
        """What was captured, replayed, padded and run eagerly."""
        return self._cache.stats

    @property
    def graphs(self) -> GraphCache:
        """The graphs by `GraphKey`."""
        return self._cache

    @torch.no_grad()
    def capture(self, *args: Any, **kwargs: Any) -> Self:
        """Capture all sizes for arguments like these, largest first.

        Parameters
        ----------
        *args, **kwargs
            Arguments of the function, with a batch of any size.

        Returns
        -------
        Graphed
            This object.
        """
        batch = self._bind(args, kwargs)
        inputs = self._inputs_for(batch)
        for size in sorted(self.ladder, reverse=True):
            self._graph(inputs, size, batch)
        return self

    @torch.no_grad()
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        batch = self._bind(args, kwargs)
        size = self.ladder.nearest(batch.rows) if batch.rows else None
        if size is None:
            if batch.rows:
                self._warn_once(f"is larger than the largest graph ({self.ladder.largest})", batch)
            return self._run_eagerly(args, kwargs)
        # Also orders the copies below after the last replay, whose inputs they overwrite.
        self._cache.pool.order_replay_on(_native.current_stream())
        inputs = self._inputs_for(batch)
        graph, written = self._graph(inputs, size, batch)
        unbatched = [batch.names[place] for place in written if not batch.batched[place]]
        if unbatched and batch.rows < size:
            self._warn_once(
                f"would be padded, and padding would write into {unbatched[0]!r},", batch
            )
            return self._run_eagerly(args, kwargs)
        inputs.check_written(batch, written)
        inputs.fill(batch, batch.rows, size)
        outputs = graph.replay()
        inputs.write_back(batch, batch.rows, written)
        self.stats.count_rows(batch.rows, size - batch.rows)
        return pytree.tree_map_only(torch.Tensor, partial(self._cut, rows=batch.rows), outputs)

    def close(self) -> None:
        """Close all graphs and drop their inputs. Idempotent; a later call captures again."""
        self._cache.close()
        self._inputs.clear()
        self._written.clear()

    def _run_eagerly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.stats.eager_calls += 1
        return self._fn(*args, **kwargs)

    def _warn_once(self, reason: str, batch: "Batch") -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            _logger.warning(
                "a batch of %d rows %s and runs eagerly; add the size to batch_sizes",
                batch.rows,
                reason,
            )

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Batch":
        bound = self._call_signature.bind(*args, **kwargs)
        return Batch(bound, self._unbatched)

    def _inputs_for(self, batch: "Batch") -> "StaticInputs":
        inputs = self._inputs.get(batch.signature)
        if inputs is None:
            inputs = self._new_inputs(batch)
            if len(self._inputs) == _MANY_SIGNATURES:
                _logger.warning(
                    "%d combinations of argument shapes and plain values have graphs of their own: "
                    "pass what changes with every call as a tensor",
                    _MANY_SIGNATURES,
                )
        elif replaced := inputs.replaced(batch):
            self._discard(inputs)
            inputs = self._new_inputs(batch, inputs.copied | replaced)
        return inputs

    def _new_inputs(self, batch: "Batch", copied: frozenset[int] = frozenset()) -> "StaticInputs":
        inputs = StaticInputs(batch, self.ladder.largest, next(self._numbers), copied)
        self._inputs[batch.signature] = inputs
        return inputs

    def _discard(self, inputs: "StaticInputs") -> None:
        for size in self.ladder:
            descriptor = GraphKey(size, inputs.number)
            self._cache.discard(descriptor)
            self._written.pop(descriptor, None)

    def _graph(
        self, inputs: "StaticInputs", size: int, batch: "Batch"
    ) -> tuple[Graph, frozenset[int]]:
        """Graph of a size, and which arguments it writes into."""
        descriptor = GraphKey(size, inputs.number)
        graph = self._cache.get(descriptor)
        if graph is None:
            inputs.fill(batch, min(batch.rows, size), size)
            fn = partial(inputs.call, self._fn, size)
            graph = self._cache.capture(descriptor, fn, options=self._options)
            try:
                _check_captured(graph, size)
            except Exception:
                self._cache.discard(descriptor)
                raise
            self._written[descriptor] = inputs.written_by(graph)
        return graph, self._written[descriptor]

    def _cut(self, output: torch.Tensor, rows: int) -> torch.Tensor:
        view = output[:rows]
        return view.clone() if self._copy_outputs else view


def _check_captured(graph: Graph, size: int) -> None:
    if graph.records:
        raise UpdateError(
            "the function uses updatable(), and graphed() has no way to give its tasks new host "
            "arguments. Use Graph.capture() and graph.replay(update)."
        )
    for output in pytree.tree_leaves(graph.outputs):
        if isinstance(output, torch.Tensor) and (output.dim() == 0 or output.shape[0] != size):
            raise BatchInputError(
                f"an output has shape {tuple(output.shape)} for a batch of {size}: without a batch "
                "dimension its value would depend on rows of padding. Leave it out of the graphed "
                "function."
            )
