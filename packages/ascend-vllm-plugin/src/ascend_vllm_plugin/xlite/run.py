# SPDX-License-Identifier: Apache-2.0
"""How the engine is to run vLLM's model: sizes and ranks, from vLLM's configuration."""

from ascend_ops import BLOCK_SIZE
from ascend_xlite_bridge import XliteRanks, XliteRun
from vllm.config import VllmConfig

from ascend_vllm_plugin.config import PluginConfig

__all__ = ["make_run"]


def make_run(vllm_config: VllmConfig, rank: int = 0) -> XliteRun:
    """Describe the steps that the engine gets; it plans its memory by the largest.

    Parameters
    ----------
    vllm_config
        vLLM's configuration, with a model.
    rank
        Of this worker, among those of tensor parallelism.
    """
    scheduler, parallel = vllm_config.scheduler_config, vllm_config.parallel_config
    most_requests = min(scheduler.max_num_seqs, scheduler.max_num_batched_tokens)
    is_full = PluginConfig.of(vllm_config).xlite_graph_config.full_mode
    most_tokens = scheduler.max_num_batched_tokens if is_full else most_requests
    ranks = parallel.tensor_parallel_size
    return XliteRun(
        max_tokens=-(-most_tokens // ranks) * ranks,  # the ranks divide the rows of a large step
        max_requests=most_requests,
        max_seq_len=vllm_config.model_config.max_model_len,
        block_size=BLOCK_SIZE,
        ranks=XliteRanks(
            rank=rank,
            tp_size=ranks,
            dp_size=parallel.data_parallel_size,
            is_expert_parallel=parallel.enable_expert_parallel,
        ),
        pipeline_parallel_size=parallel.pipeline_parallel_size,
        num_speculative_tokens=vllm_config.num_speculative_tokens,
        is_lora_enabled=vllm_config.lora_config is not None,
    )
