# SPDX-License-Identifier: Apache-2.0
"""What graph mode did in this worker: counted as it runs, put together on request."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from vllm.config import CUDAGraphMode

from ascend_vllm_plugin.graph_wrapper import NpuGraphWrapper

__all__ = ["StepPath", "StepStats", "graph_counts"]


@dataclass(frozen=True, slots=True)
class StepPath:
    """What ran a step, and why.

    Attributes
    ----------
    name
        "xlite", "aclgraph" or "eager".
    cause
        Of xlite: which of its modes took the step. Of graphs: their mode. Of eager steps: why there
        was no graph.
    """

    name: str
    cause: str

    @classmethod
    def of(
        cls,
        mode: CUDAGraphMode,
        configured: CUDAGraphMode,
        *,
        xlite: str = "",
        decode: bool,
        held_back: bool = False,
    ) -> Self:
        """Name the path of a step.

        Parameters
        ----------
        mode
            What vLLM chose for the step.
        configured
            What the engine has graphs for.
        xlite
            Mode of xlite, if it took the step.
        decode
            Whether every request had one token.
        held_back
            Whether there is a graph of its size, so that another replica had none of its own.
        """
        if xlite:
            return cls("xlite", xlite)
        if mode != CUDAGraphMode.NONE:
            return cls("aclgraph", mode.name)
        of_its_kind = configured.decode_mode() if decode else configured.mixed_mode()
        if of_its_kind != CUDAGraphMode.NONE:
            cause = "another replica had no graph" if held_back else "larger than every graph"
            return cls("eager", cause)
        kind = "decode" if decode else "prefill"
        is_off = configured == CUDAGraphMode.NONE
        return cls("eager", "graphs are off" if is_off else f"no graphs for {kind}")


@dataclass(slots=True)
class StepStats:
    """Counters of the model's forward passes.

    Attributes
    ----------
    steps
        Forward passes of real batches.
    decode_steps
        Those in which every request had one token.
    eager_decode_steps
        Decode steps that neither a graph nor xlite served.
    real_tokens, padded_tokens
        Rows of decode steps and prefills that were computed for a reason, and those that padding
        to the size of a graph added.
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


def graph_counts(wrappers: Iterable[NpuGraphWrapper]) -> dict[str, Any]:
    """Add up what the graphs of several wrappers did.

    Returns
    -------
    dict
        ``graphs``: captured graphs by mode and number of tokens; ``replays``; ``capture_seconds``.
        Plain values, for they travel between processes and into JSON.
    """
    graphs: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    replays, seconds = 0, 0.0
    for wrapper in wrappers:
        mode = wrapper.runtime_mode.name
        for descriptor, count in wrapper.captures.items():
            graphs[mode][str(descriptor.num_tokens)] += count
        replays += wrapper.stats.replays
        seconds += wrapper.stats.capture_seconds
    return {
        "graphs": {mode: dict(sizes) for mode, sizes in graphs.items()},
        "replays": replays,
        "capture_seconds": seconds,
    }
