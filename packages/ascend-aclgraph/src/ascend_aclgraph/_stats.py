# SPDX-License-Identifier: Apache-2.0
"""What graphs did: captures, replays, updates, eager calls, padding."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DescriptorStats", "GraphStats"]


@dataclass(slots=True)
class DescriptorStats:
    """Counters of the graphs of one descriptor.

    Attributes
    ----------
    captures
        Graphs captured.
    capture_seconds
        Wall time of these captures, with warm-up.
    replays
        Executions issued.
    updates
        Replays that carried new host arguments.
    """

    captures: int = 0
    capture_seconds: float = 0.0
    replays: int = 0
    updates: int = 0


@dataclass(slots=True)
class GraphStats:
    """Counters of a group of graphs; plain integers, so that counting costs next to nothing.

    Attributes
    ----------
    by_descriptor
        Counters per descriptor (or label) of a graph.
    eager_calls
        Calls that no graph served.
    real_rows, padded_rows
        Rows of batches that callers asked for, and rows that padding added to them.
    """

    by_descriptor: dict[Hashable, DescriptorStats] = field(default_factory=dict)
    eager_calls: int = 0
    real_rows: int = 0
    padded_rows: int = 0

    def of(self, descriptor: Hashable) -> DescriptorStats:
        """Counters of one descriptor, made at first use."""
        return self.by_descriptor.setdefault(descriptor, DescriptorStats())

    def count_rows(self, real: int, padded: int) -> None:
        """Count a batch of `real` rows that was padded by `padded` more."""
        self.real_rows += real
        self.padded_rows += padded

    @property
    def captures(self) -> dict[Hashable, int]:
        """Captures per descriptor."""
        return {key: counts.captures for key, counts in self.by_descriptor.items()}

    @property
    def replays(self) -> int:
        """Executions of all graphs."""
        return sum(counts.replays for counts in self.by_descriptor.values())

    @property
    def updates(self) -> int:
        """Replays of all graphs that carried new host arguments."""
        return sum(counts.updates for counts in self.by_descriptor.values())

    @property
    def capture_seconds(self) -> float:
        """Wall time of all captures."""
        return sum(counts.capture_seconds for counts in self.by_descriptor.values())

    @property
    def padding_waste(self) -> float:
        """Part of all computed rows that was padding, from 0 to 1."""
        rows = self.real_rows + self.padded_rows
        return self.padded_rows / rows if rows else 0.0

    def as_dict(self) -> dict[str, Any]:
        """All counters as plain values that JSON can hold; descriptors become text."""
        return {
            "captures": {str(key): count for key, count in self.captures.items()},
            "capture_seconds": self.capture_seconds,
            "replays": self.replays,
            "replays_by_descriptor": {
                str(key): counts.replays for key, counts in self.by_descriptor.items()
            },
            "updates": self.updates,
            "eager_calls": self.eager_calls,
            "real_rows": self.real_rows,
            "padded_rows": self.padded_rows,
            "padding_waste": self.padding_waste,
        }
