# SPDX-License-Identifier: Apache-2.0
"""What a chip lacks, and what becomes of a configuration because of it."""

from collections.abc import Iterator

from ascend_core import Device, Feature, OptionError
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.logger import init_logger

from ascend_vllm_plugin.graph_sizes import piecewise_if_compiled

__all__ = ["apply_chip_defaults", "chip_problems"]

logger = init_logger(f"vllm.{__name__}")

_LARGEST_SIZE = 512  # vLLM's own default limit


def chip_problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    """Find a graph mode that the chip cannot run.

    A FULL graph is given the lengths of its attention while it waits for them, on an external
    event. PIECEWISE graphs have no attention in them.

    Parameters
    ----------
    vllm_config
        With options as the user gave them.

    Yields
    ------
    OptionError
        For a mode with FULL graphs on a chip without value waits.
    """
    device, mode = Device(), vllm_config.compilation_config.cudagraph_mode
    if mode and mode.has_full_cudagraphs() and not device.supports(Feature.VALUE_WAIT):
        yield OptionError(
            "compilation_config.cudagraph_mode",
            mode.name,
            f"FULL graphs wait for the lengths of attention, and {device.name} has no "
            f"{Feature.VALUE_WAIT.value}",
            "PIECEWISE, NONE; or leave cudagraph_mode out",
        )


def apply_chip_defaults(vllm_config: VllmConfig) -> None:
    """Set what the user left open to what the chip has, and say so in one line.

    Without value waits, graphs are PIECEWISE. Where every graph takes streams for good, their
    sizes are powers of two: vLLM's 51 sizes are 1887 graphs for 36 layers, a 310P has 992 streams.

    Parameters
    ----------
    vllm_config
        With options as the user gave them, and no `chip_problems`.
    """
    device, compilation = Device(), vllm_config.compilation_config
    if vllm_config.model_config is None or compilation.cudagraph_mode == CUDAGraphMode.NONE:
        return
    if compilation.cudagraph_mode is None and not device.supports(Feature.VALUE_WAIT):
        compilation.cudagraph_mode = piecewise_if_compiled(vllm_config)
        logger.info(
            "cudagraph_mode is %s: %s has no %s, which FULL graphs need",
            compilation.cudagraph_mode.name,
            device.name,
            Feature.VALUE_WAIT.value,
        )
    are_given = compilation.cudagraph_capture_sizes or compilation.max_cudagraph_capture_size
    if not are_given and not device.supports(Feature.QUEUES_AT_REPLAY):
        scheduler = vllm_config.scheduler_config
        compilation.cudagraph_capture_sizes = _powers_of_two(
            min(2 * scheduler.max_num_seqs, scheduler.max_num_batched_tokens, _LARGEST_SIZE)
        )


def _powers_of_two(largest: int) -> list[int]:
    """List the powers of two below a size, and the size."""
    return [*(1 << power for power in range((largest - 1).bit_length())), largest]
