# SPDX-License-Identifier: Apache-2.0
"""What ran the steps of a server, and why: counted as they run."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

__all__ = ["StepPath", "StepStats"]


@dataclass(frozen=True, slots=True)
class StepPath:
    """What ran a step, and why.

    Attributes
    ----------
    name
        What ran it: "aclgraph", "eager", or another engine.
    cause
        Of graphs, their mode; of eager steps, why there was no graph.
    """

    name: str
    cause: str


@dataclass(slots=True)
class StepStats:
    """Counters of a model's forward passes.

    Attributes
    ----------
    steps
        Forward passes of real batches.
    decode_steps
        Those in which every request had one token.
    eager_decode_steps
        Decode steps with the path "eager".
    real_tokens, padded_tokens
        Rows that were computed for a reason, and those that padding to the size of a graph added.
    paths
        Steps by what ran them and why.
    """

    steps: int = 0
    decode_steps: int = 0
    eager_decode_steps: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0
    paths: Counter[StepPath] = field(default_factory=Counter)

    def count(self, path: StepPath, real: int, computed: int, *, decode: bool) -> None:
        """Count one forward pass.

        Parameters
        ----------
        path
            What ran it.
        real, computed
            Rows without and with padding.
        decode
            Whether every request had one token.
        """
        self.steps += 1
        self.paths[path] += 1
        self.real_tokens += real
        self.padded_tokens += computed - real
        if decode:
            self.decode_steps += 1
            self.eager_decode_steps += path.name == "eager"

    @property
    def steps_by_path(self) -> dict[str, dict[str, int]]:
        """Count the steps by name of the path and by cause, in plain values."""
        counts: dict[str, dict[str, int]] = defaultdict(dict)
        for path, steps in self.paths.items():
            counts[path.name][path.cause] = steps
        return dict(counts)

    @property
    def padding_waste(self) -> float:
        """Part of all computed rows that was padding, from 0 to 1."""
        computed = self.real_tokens + self.padded_tokens
        return self.padded_tokens / computed if computed else 0.0
