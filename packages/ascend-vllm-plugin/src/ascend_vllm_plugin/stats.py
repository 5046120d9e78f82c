# SPDX-License-Identifier: Apache-2.0
"""What graph mode did in this worker: counted as it runs, put together on request."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vllm.config import CUDAGraphMode

from ascend_vllm_plugin.graph_wrapper import NpuGraphWrapper

__all__ = ["StepStats", "graph_counts"]


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
        Decode steps that no graph served.
    real_tokens, padded_tokens
        Rows of decode steps and prefills that were computed for a reason, and those that padding
        to the size of a graph added.
    """

    steps: int = 0
    decode_steps: int = 0
    eager_decode_steps: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0

    def count(self, mode: CUDAGraphMode, real: int, computed: int, *, decode: bool) -> None:
        """Count one forward pass.

        Parameters
        ----------
        mode
            How it ran.
        real, computed
            Rows without and with padding.
        decode
            Whether every request had one token.
        """
        self.steps += 1
        self.real_tokens += real
        self.padded_tokens += computed - real
        if decode:
            self.decode_steps += 1
            self.eager_decode_steps += mode == CUDAGraphMode.NONE

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
