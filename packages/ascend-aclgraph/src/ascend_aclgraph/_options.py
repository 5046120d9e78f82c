# SPDX-License-Identifier: Apache-2.0
"""How a function is captured."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from ascend_core.options import OptionError, raise_problems

from ascend_aclgraph._order import UpdateOrder

__all__ = ["CaptureErrorMode", "CaptureOptions"]

CaptureErrorMode = Literal["global", "thread_local", "relaxed"]
"""What other threads may do during a capture, as in PyTorch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOptions:
    """How a function is captured; the same for `Graph`, `GraphCache` and `graphed`.

    Parameters
    ----------
    warmup
        Eager calls before the capture, so that what happens once (compilation, workspaces) is not
        captured. 0 or more.
    order
        Whether a replay or its updates are issued first. "replay_first" overlaps the two. Where
        that would wait forever (ASCEND_LAUNCH_BLOCKING=1, a soft-partitioned NPU), "update_first"
        is chosen, with a warning.
    capture_error_mode
        What other threads may do meanwhile: "global", "thread_local" or "relaxed", as in PyTorch.
    hold_outputs
        Keep the memory of the outputs from other graphs of the pool until
        `Graph.release_outputs()`.
    stream
        Where the capture runs, not the default stream; None for the stream of the pool.
    keep
        Anything that must live as long as the graph.

    Raises
    ------
    OptionError, SeveralOptionsError
        If a value cannot be used.
    """

    warmup: int = 1
    order: UpdateOrder = "replay_first"
    capture_error_mode: CaptureErrorMode = "global"
    hold_outputs: bool = False
    stream: Any = None
    keep: object = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        raise_problems(self._problems())

    def _problems(self) -> Iterator[OptionError]:
        if not _is_count(self.warmup):
            yield OptionError("warmup", self.warmup, "not a number of calls", "0, 1, 2, ...")
        if self.order not in get_args(UpdateOrder):
            yield OptionError("order", self.order, "unknown order", get_args(UpdateOrder))
        modes = get_args(CaptureErrorMode)
        if self.capture_error_mode not in modes:
            yield OptionError("capture_error_mode", self.capture_error_mode, "unknown mode", modes)
        if self.hold_outputs not in (True, False):
            yield OptionError("hold_outputs", self.hold_outputs, "not a boolean", "True, False")

    @classmethod
    def of(cls, given: object) -> Self:
        """Give the default options for None, and check that anything else is options.

        Raises
        ------
        OptionError
            If it is something else, such as a dict.
        """
        if given is None:
            return cls()
        if not isinstance(given, cls):
            kind = type(given).__name__
            raise OptionError("options", given, f"it is of type {kind}", "CaptureOptions(...)")
        return given


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
