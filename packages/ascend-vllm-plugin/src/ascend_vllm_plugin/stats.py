# SPDX-License-Identifier: Apache-2.0
"""What graph mode did in this worker, in plain values that travel between processes."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from ascend_aclgraph import StepPath
from vllm.config import CUDAGraphMode

from ascend_vllm_plugin.graph_wrapper import NpuGraphWrapper

__all__ = ["graph_counts", "path_of_step"]


def path_of_step(
    mode: CUDAGraphMode,
    configured: CUDAGraphMode,
    *,
    xlite: str = "",
    decode: bool,
    left_out: bool = False,
    held_back: bool = False,
) -> StepPath:
    """Name what ran a step, and why.

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
    left_out
        Whether a size that could not be captured would have held the batch.
    held_back
        Whether there is a graph of its size, so that another replica had none of its own.
    """
    if xlite:
        return StepPath("xlite", xlite)
    if mode != CUDAGraphMode.NONE:
        return StepPath("aclgraph", mode.name)
    of_its_kind = configured.decode_mode() if decode else configured.mixed_mode()
    if of_its_kind != CUDAGraphMode.NONE:
        cause = "another replica had no graph" if held_back else "larger than every graph"
        return StepPath("eager", "not captured" if left_out else cause)
    kind = "decode" if decode else "prefill"
    is_off = configured == CUDAGraphMode.NONE
    return StepPath("eager", "graphs are off" if is_off else f"no graphs for {kind}")


def graph_counts(wrappers: Iterable[NpuGraphWrapper]) -> dict[str, Any]:
    """Add up what the graphs of several wrappers did.

    Returns
    -------
    dict
        ``graphs``: captured graphs by mode and number of tokens; ``replays``; ``capture_seconds``.
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
