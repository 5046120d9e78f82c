# SPDX-License-Identifier: Apache-2.0
"""The sizes of graphs: what the user asked for is checked before anything is captured."""

from collections.abc import Iterator
from itertools import pairwise

from ascend_core import OptionError
from vllm.config import CompilationMode, CUDAGraphMode, VllmConfig
from vllm.config.vllm import OptimizationLevel
from vllm.logger import init_logger

from ascend_vllm_plugin.config import PluginConfig

__all__ = [
    "check_final_sizes",
    "drop_unreachable_sizes",
    "has_graphs",
    "piecewise_if_compiled",
    "size_problems",
]

logger = init_logger(f"vllm.{__name__}")

_OPTION = "cudagraph_capture_sizes"


def has_graphs(vllm_config: VllmConfig) -> bool:
    """Whether graphs will be captured: by the user's options, or else by vLLM's defaults.

    Parameters
    ----------
    vllm_config
        With options as the user gave them.
    """
    model, mode = vllm_config.model_config, vllm_config.compilation_config.cudagraph_mode
    if model is None or model.enforce_eager or mode == CUDAGraphMode.NONE:
        return False
    return mode is not None or vllm_config.optimization_level > OptimizationLevel.O0


def piecewise_if_compiled(vllm_config: VllmConfig) -> CUDAGraphMode:
    """Return PIECEWISE if graphs are on by default and the model is compiled, and NONE if not.

    Parameters
    ----------
    vllm_config
        With options as the user gave them, and no graph mode among them.
    """
    is_compiled = vllm_config.compilation_config.mode in (None, CompilationMode.VLLM_COMPILE)
    is_on = vllm_config.optimization_level > OptimizationLevel.O0 and is_compiled
    return CUDAGraphMode.PIECEWISE if is_on else CUDAGraphMode.NONE


def size_problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    """Find what is wrong with the sizes that the user gave.

    Parameters
    ----------
    vllm_config
        With options as the user gave them.

    Yields
    ------
    OptionError
        If there is none, one is not positive, or none can ever be used.
    """
    compilation = vllm_config.compilation_config
    sizes, largest = compilation.cudagraph_capture_sizes, compilation.max_cudagraph_capture_size
    if not has_graphs(vllm_config):
        return
    off = "or --enforce-eager for no graphs"
    if largest is not None and largest < 1:
        yield OptionError(
            "max_cudagraph_capture_size",
            largest,
            "a graph has at least one token",
            f"positive numbers, {off}",
        )
    if sizes is None:
        return
    if not sizes:
        yield OptionError(_OPTION, sizes, "there is no size to capture", f"positive numbers, {off}")
    elif wrong := sorted({size for size in sizes if size < 1}):
        yield OptionError(
            _OPTION,
            sizes,
            f"a graph has at least one token, {_listed(wrong)} has not",
            "positive numbers",
        )
    else:
        limit, why = _largest_batch(vllm_config)
        if min(sizes) > limit:
            yield OptionError(
                _OPTION, sizes, f"no batch is that large: {why}", f"1 to {limit}, or a larger limit"
            )


def drop_unreachable_sizes(vllm_config: VllmConfig) -> None:
    """Leave out sizes that no batch can have, and say so.

    vLLM leaves most of them out itself, at different places and without the reason.

    Parameters
    ----------
    vllm_config
        With options as the user gave them, and no `size_problems`.
    """
    compilation = vllm_config.compilation_config
    sizes = compilation.cudagraph_capture_sizes
    if not sizes or not has_graphs(vllm_config):
        return
    limit, why = _largest_batch(vllm_config)
    kept = sorted({size for size in sizes if size <= limit})
    dropped = sorted({size for size in sizes if size > limit})
    compilation.cudagraph_capture_sizes = kept
    if dropped:
        logger.warning(
            "%s: no graphs of %s tokens are captured, for no batch is that large: %s. Captured: %s",
            _OPTION,
            _listed(dropped),
            why,
            _listed(kept),
        )


def check_final_sizes(vllm_config: VllmConfig) -> None:
    """Check the sizes that vLLM has computed, by the user's or by its own defaults.

    Warns if a decode batch can be larger than the largest graph for it. (xlite's need no graph.)

    Raises
    ------
    OptionError
        If padding to a size could need more positions than a request can have.
    """
    mode = vllm_config.compilation_config.cudagraph_mode
    sizes = vllm_config.compilation_config.cudagraph_capture_sizes
    if vllm_config.model_config is None or not mode or not sizes:
        return
    most = vllm_config.scheduler_config.max_num_seqs
    graphs_of_any_batch = mode.mixed_mode() == mode.decode_mode()
    largest = max((size for size in sizes if graphs_of_any_batch or size <= most), default=0)
    if largest < most and not PluginConfig.of(vllm_config).xlite_graph_config.enabled:
        has_piecewise = mode == CUDAGraphMode.FULL_AND_PIECEWISE and sizes[-1] >= most
        logger.warning(
            "decode batches of more than %d requests will run %s, and --max-num-seqs is %d: add %d "
            "to cudagraph_capture_sizes, or lower --max-num-seqs",
            largest,
            "in piecewise graphs" if has_piecewise else "without a graph",
            most,
            most,
        )
    # All padding of a mixed batch may fall to one request, which is no longer than others.
    widest = max(larger - smaller for smaller, larger in pairwise([0, *sizes]))
    limit = vllm_config.model_config.max_model_len
    if mode == CUDAGraphMode.FULL and widest > limit:
        raise OptionError(
            _OPTION,
            sizes,
            f"with cudagraph_mode = FULL their gaps must not exceed max_model_len = {limit}",
            f"add sizes in between: now a batch may be padded by up to {widest - 1}",
        )


def _largest_batch(vllm_config: VllmConfig) -> tuple[int, str]:
    """Tokens of the largest batch that a graph can have, and the option that says so."""
    scheduler = vllm_config.scheduler_config
    if vllm_config.compilation_config.cudagraph_mode == CUDAGraphMode.FULL_DECODE_ONLY:
        most = scheduler.max_num_seqs
        return most, f"with FULL_DECODE_ONLY they have at most --max-num-seqs = {most} tokens"
    most = scheduler.max_num_batched_tokens
    return most, f"they have at most --max-num-batched-tokens = {most} tokens"


def _listed(sizes: list[int]) -> str:
    return ", ".join(map(str, sizes))
