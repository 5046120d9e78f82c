# SPDX-License-Identifier: Apache-2.0
"""Graphs are for the steps that xlite does not take."""

from vllm.config import CompilationMode, CUDAGraphMode, VllmConfig
from vllm.logger import init_logger

from ascend_vllm_plugin.config import PluginConfig
from ascend_vllm_plugin.graph_sizes import piecewise_if_compiled

__all__ = ["leave_graphs_to_other_steps"]

logger = init_logger(f"vllm.{__name__}")

_WITHOUT_DECODE = {
    CUDAGraphMode.FULL_AND_PIECEWISE: CUDAGraphMode.PIECEWISE,
    CUDAGraphMode.FULL_DECODE_ONLY: CUDAGraphMode.NONE,
}
"""Modes with graphs that serve decode steps alone, and the modes without these graphs."""


def leave_graphs_to_other_steps(vllm_config: VllmConfig) -> None:
    """Turn off the graphs of steps that xlite runs, and say so in one line.

    In full mode xlite runs every step, so nothing is captured, or compiled unless the user says so.

    Parameters
    ----------
    vllm_config
        With options as the user gave them, and no problems.
    """
    xlite = PluginConfig.of(vllm_config).xlite_graph_config
    compilation, model = vllm_config.compilation_config, vllm_config.model_config
    if not xlite.enabled or model is None or model.enforce_eager:
        return
    given = compilation.cudagraph_mode
    if xlite.full_mode:
        mode = CUDAGraphMode.NONE
        compilation.mode = compilation.mode or CompilationMode.NONE
    elif given is None:
        mode = piecewise_if_compiled(vllm_config)
    else:
        mode = _WITHOUT_DECODE.get(given, given)
    compilation.cudagraph_mode = mode
    logger.info(
        "cudagraph_mode is %s%s: xlite runs %s",
        mode.name,
        "" if given in (None, mode) else f", not {given.name}",
        "every step" if xlite.full_mode else "decode steps",
    )
