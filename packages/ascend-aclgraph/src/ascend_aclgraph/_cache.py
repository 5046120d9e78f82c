# SPDX-License-Identifier: Apache-2.0
"""Graphs by descriptor, in one pool of memory."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from ascend_aclgraph._closing import Closing
from ascend_aclgraph._graph import Graph
from ascend_aclgraph._options import CaptureOptions
from ascend_aclgraph._pool import MemoryPool
from ascend_aclgraph._stats import GraphStats
from ascend_aclgraph._task import Update
from ascend_aclgraph.errors import GraphStateError

__all__ = ["GraphCache"]


class GraphCache(Closing):
    """Graphs by descriptor; all share one pool of memory and one set of statistics.

    Parameters
    ----------
    pool
        Where the graphs allocate; by default a new pool. Capture the largest graph first (as
        `capture_all` does): the others then fit into its memory.
    stats
        Where to count; by default new statistics.
    """

    def __init__(self, *, pool: MemoryPool | None = None, stats: GraphStats | None = None) -> None:
        self.pool = pool or MemoryPool()
        self.stats = stats or GraphStats()
        self._graphs: dict[Hashable, Graph] = {}

    def capture(
        self,
        descriptor: Hashable,
        fn: Callable[[], Any],
        *,
        options: CaptureOptions | None = None,
    ) -> Graph:
        """Capture a graph and keep it.

        Parameters
        ----------
        descriptor
            What the graph is for: a size, a tuple, a frozen dataclass. Must not have a graph yet.
        fn, options
            As for `Graph.capture`.

        Returns
        -------
        Graph
            Owned by the cache.

        Raises
        ------
        CaptureError
            If it fails; the other graphs are not touched.
        GraphStateError
            If the descriptor has a graph.
        """
        if descriptor in self._graphs:
            raise GraphStateError(
                f"{descriptor!r} already has a graph. Remove it with discard({descriptor!r}) first."
            )
        counts = self.stats.of(descriptor)
        graph = Graph.capture(fn, options=options, pool=self.pool, label=descriptor, counts=counts)
        self._graphs[descriptor] = graph
        return graph

    def capture_all(
        self,
        sizes: Iterable[int],
        make_fn: Callable[[int], Callable[[], Any]],
        *,
        options: CaptureOptions | None = None,
    ) -> None:
        """Capture a graph per size, largest first.

        Parameters
        ----------
        sizes
            Descriptors of the graphs.
        make_fn
            Gives the function to capture for a size.
        options
            As for `Graph.capture`.
        """
        for size in sorted(sizes, reverse=True):
            self.capture(size, make_fn(size), options=options)

    def get(self, descriptor: Hashable) -> Graph | None:
        """Graph of a descriptor, or None."""
        return self._graphs.get(descriptor)

    def replay(self, descriptor: Hashable, update: Update | None = None) -> Any:
        """Replay the graph of a descriptor; see `Graph.replay`."""
        return self[descriptor].replay(update)

    def discard(self, descriptor: Hashable) -> None:
        """Close the graph of a descriptor, if there is one."""
        graph = self._graphs.pop(descriptor, None)
        if graph is not None:
            graph.close()

    def close(self) -> None:
        """Close all graphs. Idempotent; the cache can be used again."""
        while self._graphs:
            self._graphs.popitem()[1].close()

    def __getitem__(self, descriptor: Hashable) -> Graph:
        try:
            return self._graphs[descriptor]
        except KeyError:
            known = ", ".join(map(repr, self._graphs)) or "none"
            raise KeyError(f"no graph was captured for {descriptor!r}; captured: {known}") from None

    def __contains__(self, descriptor: object) -> bool:
        return descriptor in self._graphs

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._graphs)

    def __len__(self) -> int:
        return len(self._graphs)
