# SPDX-License-Identifier: Apache-2.0
"""The V1 model runner on the NPU: vLLM's own, with counters."""

import logging

import torch
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.forward_context import get_forward_context

from ascend_vllm_plugin.compat.model_runner import OpenModelRunner
from ascend_vllm_plugin.stats import StepStats

__all__ = ["NpuModelRunner"]

# A child of vLLM's logger, so that its handlers and levels hold for us too.
logger = logging.getLogger(f"vllm.{__name__}")


class NpuModelRunner(OpenModelRunner):
    """Runs the model. `alias_torch_cuda` must have been called.

    Parameters
    ----------
    vllm_config
        vLLM's configuration.
    device
        An NPU.
    """

    def __init__(self, vllm_config: VllmConfig, device: torch.device) -> None:
        super().__init__(vllm_config, device)
        self.step_stats = StepStats()
        self.graph_memory = 0

    def capture_model(self) -> int:
        """Capture all graphs, and note how much memory of the device that took, in bytes."""
        self.graph_memory = int(super().capture_model())
        return self.graph_memory

    def begin_step(self) -> None:
        """Count a real step."""
        context = get_forward_context()
        metadata = next(iter(context.attn_metadata.values()))
        mode, computed = context.cudagraph_runtime_mode, context.batch_descriptor.num_tokens
        decode = metadata.max_query_len == 1
        real = metadata.num_real_tokens
        is_surprise = (
            decode
            and mode == CUDAGraphMode.NONE
            and self.compilation_config.cudagraph_mode != CUDAGraphMode.NONE
            and not self.step_stats.eager_decode_steps
        )
        if is_surprise:
            logger.warning(
                "a decode step of %d requests ran without a graph: no captured size holds it. More "
                "are counted, not logged. Add a size to cudagraph_capture_sizes (captured: %s).",
                real,
                self.compilation_config.cudagraph_capture_sizes,
            )
        self.step_stats.count(mode, real, computed, decode=decode)
