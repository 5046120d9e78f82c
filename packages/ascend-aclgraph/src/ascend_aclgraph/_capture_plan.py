# SPDX-License-Identifier: Apache-2.0
"""Captures of several kinds of graphs within one budget of streams."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch.distributed
from ascend_core import Device, OptionError, StreamBudget
from ascend_core.errors import from_torch_error

from ascend_aclgraph._coverage import Coverage
from ascend_aclgraph._native import npu
from ascend_aclgraph._plan import StreamCost, count_sizes_that_fit, expected_padding
from ascend_aclgraph._ranks import values_on_ranks
from ascend_aclgraph._table import aligned
from ascend_aclgraph.errors import CaptureError

__all__ = ["CapturePlan"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Reading:
    """Streams that were gone after the capture of a size, and after its first execution."""

    at_capture: int
    at_execution: int


class CapturePlan:
    """Captures sizes as far as a budget of streams goes.

    What graphs take depends on the model, the communicators and the version of CANN, so it is
    measured. The largest and the smallest size of each kind come first. They are captured *and
    executed*, for recent versions of CANN give a graph its queues when it first runs. The largest
    size also takes what is taken once; the smallest one shows what each size costs. Then the sizes
    that do not fit are left out: those whose loss adds the least padding for the streams that it
    frees. Where ranks capture together, the rank with the least room decides.

    A queue that is taken at an execution only is no lasting loss: the runtime takes it back from an
    idle graph. It counts where the budget is a quota.

    Parameters
    ----------
    coverages
        By the name of the kind of graphs.
    budget
        Of all kinds together; None for no limit.
    device
        Where the captures run.
    close
        Closes the graphs of a kind and size.
    group
        Of the ranks, on the CPU (gloo); None for one rank.

    Attributes
    ----------
    coverages
        As given.
    """

    def __init__(
        self,
        coverages: Mapping[str, Coverage],
        *,
        budget: StreamBudget | None,
        device: Device,
        close: Callable[[str, int], object],
        group: torch.distributed.ProcessGroup | None = None,
    ) -> None:
        self.coverages = coverages
        self._budget = budget
        self._device = device
        self._close = close
        self._group = group
        self._probes = [
            (kind, size)
            for kind, coverage in coverages.items()
            for size in dict.fromkeys([coverage.sizes[-1], coverage.sizes[0]])
        ]
        self._pending = set(self._probes if budget else ())
        self._readings: dict[str, list[_Reading]] = defaultdict(list)
        self._costs: dict[str, StreamCost] = {}
        self._memory: dict[str, int] = defaultdict(int)

    def comes_first(self, kind: str, size: int) -> bool:
        """Whether a size is one of those that must be captured before all others."""
        return self._budget is not None and (kind, size) in self._probes

    def capture(
        self, kind: str, size: int, capture: Callable[[], object], execute: Callable[[], object]
    ) -> bool:
        """Capture the graphs of a size, if they are planned and there is enough of everything.

        First all sizes that `comes_first` names, then the others; of each kind the largest one
        first. All ranks of the group must call it, in the same order.

        Parameters
        ----------
        kind, size
            One of a coverage's sizes.
        capture
            Captures them, on this rank.
        execute
            Executes what was captured once. Called for the sizes that come first.

        Returns
        -------
        bool
            Whether the size has its graphs.

        Raises
        ------
        CaptureError
            If the capture fails for another reason than lack of something.
        OptionError
            On every rank, if the budget is too small for any graph.
        """
        is_probe = (kind, size) in self._pending
        free = self._device.memory_info().free
        action = partial(self._measure, kind, size, capture, execute) if is_probe else capture
        self.coverages[kind].capture(size, action, partial(self._close, kind))
        if is_probe:
            self._pending.discard((kind, size))
            if not self._pending:
                self._leave_out_what_does_not_fit()
        self._memory[kind] += free - self._device.memory_info().free
        return size in self.coverages[kind].captured

    def __str__(self) -> str:
        """Give the plan as a table, with what was measured."""
        heads = ("graphs", "sizes", "streams", "memory", "padding", "left out")
        rows = [self._row(kind, coverage) for kind, coverage in self.coverages.items()]
        title = f"budget of {self._budget}" if self._budget else "no budget of streams"
        return f"{title}\n{aligned([heads, *rows])}"

    def _measure(
        self, kind: str, size: int, capture: Callable[[], object], execute: Callable[[], object]
    ) -> None:
        before = self._available()
        capture()
        between = self._available()
        try:
            execute()
            after = self._available()
        except Exception as error:
            refused = from_torch_error(error)
            if refused is None or isinstance(refused, CaptureError):
                raise
            label = f"{kind}, {size}, at its first execution"
            advice = (f"capture fewer sizes, or less in each: {refused.call} needs streams",)
            raise CaptureError(
                refused.code, refused.call, refused.detail, label=label, advice=advice
            ) from None
        self._readings[kind].append(_Reading(max(0, before - between), max(0, between - after)))

    def _available(self) -> int:
        npu.synchronize()  # torch_npu may issue an execution from another thread
        return self._device.streams_available()

    def _leave_out_what_does_not_fit(self) -> None:
        assert self._budget is not None
        own = {kind: self._cost_of(readings) for kind, readings in self._readings.items()}
        everyones = values_on_ranks((self._budget.streams, own), self._group)
        streams = min(each for each, _ in everyones)
        self._costs = {
            kind: StreamCost(
                once=max(costs[kind].once for _, costs in everyones),
                each=max(costs[kind].each for _, costs in everyones),
            )
            for kind in own
        }
        ladders = {kind: self.coverages[kind].ladder for kind in own}
        counts = count_sizes_that_fit(ladders, self._costs, streams)
        if own and not any(counts.values()):
            needed = min(cost.of(1) for cost in self._costs.values())
            raise OptionError(
                "graph.max_streams",
                streams,
                f"the graphs of one size need {needed} streams, and that is the budget "
                f"({self._budget.origin})",
                f"{needed} or more, a smaller graph.reserve_streams, or no graphs",
            )
        for kind, count in counts.items():
            self.coverages[kind].limit(count, partial(self._close, kind))

    def _cost_of(self, readings: list[_Reading]) -> StreamCost:
        assert self._budget is not None
        taken = [
            reading.at_capture + (reading.at_execution if self._budget.is_quota else 0)
            for reading in readings
        ]
        return StreamCost(once=max(0, taken[0] - taken[-1]), each=taken[-1])

    def _row(self, kind: str, coverage: Coverage) -> tuple[str, ...]:
        captured = sorted(coverage.captured)
        cost = self._costs.get(kind)
        reasons = {
            f"over the budget: {_listed(coverage.over_budget)}": coverage.over_budget,
            f"{coverage.shortage.name if coverage.shortage else ''}: {_listed(coverage.failed)}": (
                coverage.failed
            ),
        }
        return (
            kind,
            _listed(captured),
            f"{cost.of(len(captured))} ({cost.each} per size)" if cost else "not measured",
            f"{max(0, self._memory[kind]) / _MIB:.1f} MiB",
            f"{expected_padding(captured):.0%}" if captured else "-",
            "; ".join(reason for reason, sizes in reasons.items() if sizes) or "none",
        )


def _listed(sizes: list[int]) -> str:
    return ", ".join(map(str, sizes)) or "none"
