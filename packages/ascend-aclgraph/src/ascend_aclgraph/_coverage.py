# SPDX-License-Identifier: Apache-2.0
"""Which sizes have a graph, where streams, events or memory may not suffice for all of them."""

import gc
from collections.abc import Callable, Collection, Iterable, Mapping

import torch.distributed
from ascend_core.errors import AclOutOfEvents, AclOutOfMemory, AclOutOfResources, AclOutOfStreams

from ascend_aclgraph._plan import SizeLadder, choose_sizes
from ascend_aclgraph._ranks import first_on_ranks
from ascend_aclgraph.errors import CaptureError

__all__ = ["Coverage", "report_shortage"]

_SHORTAGES = (AclOutOfMemory, AclOutOfStreams, AclOutOfEvents, AclOutOfResources)


class Coverage:
    """The sizes of one kind of graphs: planned, captured, and left out for lack of something.

    A capture for which something does not suffice leaves its size out and ends nothing. After lack
    of memory the smaller sizes are tried, for they need less. After lack of streams, events or
    anything else they are not, for they need as much: what was captured by then is all there can
    be. So the sizes are chosen again for that number, and a graph that is no longer among them is
    closed for each that is captured in its place. A `limit` leaves sizes out beforehand.

    Where several ranks capture together, a size has a graph on all of them or on none.

    Parameters
    ----------
    sizes
        Planned, in rows.
    most
        The batch that matters most: the size that holds it is kept, and so is the smallest one.
    group
        Of the ranks, on the CPU (gloo); None for one rank.

    Attributes
    ----------
    sizes
        All that were asked for, ascending.
    captured
        Those that have a graph.
    over_budget
        Those that a `limit` left out, ascending.
    shortage
        Why others have none: the last error of a capture, from whichever rank; None if there was
        none. It has no traceback, which would keep tensors alive.
    """

    def __init__(
        self,
        sizes: Iterable[int],
        *,
        most: int = 1,
        group: torch.distributed.ProcessGroup | None = None,
    ) -> None:
        self.sizes = sorted(set(sizes))
        self.captured: set[int] = set()
        self.over_budget: list[int] = []
        self.shortage: CaptureError | None = None
        self._planned = set(self.sizes)
        holding = [size for size in self.sizes if size >= most]
        self._keep = (*holding[:1], *self.sizes[:1])
        self._group = group
        self._is_full = False

    @property
    def left_out(self) -> list[int]:
        """Sizes that have no graph, ascending."""
        return [size for size in self.sizes if size not in self.captured]

    @property
    def failed(self) -> list[int]:
        """Sizes that have no graph for lack of something, ascending."""
        return [size for size in self.left_out if size not in self.over_budget]

    @property
    def ladder(self) -> SizeLadder:
        """The sizes that are planned, and those to keep."""
        return SizeLadder(sorted(self._planned), self._keep)

    def limit(self, count: int, close: Callable[[int], object]) -> None:
        """Plan no more than a number of sizes, those with the least expected padding.

        All ranks of the group must call it, with the same number.

        Parameters
        ----------
        count
            How many.
        close
            Closes the graphs of a size that was captured and is not planned any more.
        """
        planned = set(choose_sizes(self._planned, count, keep=self._keep))
        self.over_budget = sorted(self._planned - planned)
        for size in self.captured - planned:
            close(size)
        self.captured &= planned
        self._planned = planned

    def capture(
        self, size: int, capture: Callable[[], object], close: Callable[[int], object]
    ) -> bool:
        """Capture the graphs of a size, if they are planned.

        Called for the largest size first; the smallest one may come before those in between.

        All ranks of the group must call it, for the same sizes in the same order.

        Parameters
        ----------
        size
            One of `sizes`.
        capture
            Captures them, on this rank. A capture that was tried in vain may be called again.
        close
            Closes the graphs of a size, those of a capture that failed half-way included.

        Returns
        -------
        bool
            Whether the size has its graphs.

        Raises
        ------
        CaptureError
            If the capture fails for another reason than lack of something.
        """
        if size not in self._planned:
            return False
        if self._is_full:
            self._make_room(close)
        shortage = first_on_ranks(_shortage_of(capture), self._group)
        if shortage is None:
            self.captured.add(size)
            return True
        self.shortage = shortage
        close(size)
        if isinstance(shortage, AclOutOfMemory):
            self._planned.discard(size)
            return False
        if self._is_full:  # closing another graph did not help
            self._planned = set(self.captured)
            return False
        self._is_full = True
        below = {other for other in self._planned if other <= size}
        count = len(self.captured)
        self._planned = set(choose_sizes(self.captured | below, count, keep=self._keep))
        return self.capture(size, capture, close)

    def __str__(self) -> str:
        return f"captured {_listed(self.captured)}, left out {_listed(self.left_out)}"

    def _make_room(self, close: Callable[[int], object]) -> None:
        surplus = self.captured - self._planned
        if surplus:
            largest = max(surplus)
            close(largest)
            self.captured.discard(largest)


def report_shortage(coverages: Mapping[str, Coverage]) -> str:
    """Say what is left out of the graphs of a program, and why.

    Parameters
    ----------
    coverages
        By the name of the kind of graphs, after their captures.

    Returns
    -------
    str
        For the log; empty if nothing is left out.

    Raises
    ------
    CaptureError
        If no graph at all was captured.
    """
    shortage = next((each.shortage for each in coverages.values() if each.shortage), None)
    if shortage is None:
        return ""
    if not any(each.captured for each in coverages.values()):
        raise shortage
    covered = "; ".join(f"{name}: {each}" for name, each in coverages.items())
    advice = "; ".join(shortage.advice)
    return (
        f"not every size has a graph, for {shortage.call} failed with {shortage.code} "
        f"{shortage.name} ({shortage.label}). {covered}. Batches are padded to the next captured "
        f"size, or run without a graph. To choose what is captured: {advice}"
    )


def _listed(sizes: Collection[int]) -> str:
    return ", ".join(map(str, sorted(sizes))) or "none"


def _shortage_of(capture: Callable[[], object]) -> CaptureError | None:
    try:
        capture()
    except CaptureError as error:
        if not isinstance(error, _SHORTAGES):
            raise
        shortage = error.with_traceback(None)
        shortage.__cause__ = shortage.__context__ = None
    else:
        return None
    gc.collect()  # frames of the traceback, and with them tensors of the failed capture
    return shortage
