# SPDX-License-Identifier: Apache-2.0
"""The engine's own config, from ours."""

from typing import Any

from ascend_xlite_bridge._decoder.decoder import XliteDecoder
from ascend_xlite_bridge._decoder.limits import XliteRun
from ascend_xlite_bridge._weights import XliteWeights

__all__ = ["engine_config"]


def engine_config(engine: Any, decoder: XliteDecoder, run: XliteRun, weights: XliteWeights) -> Any:
    """Make the engine's config. What it has no default for, and divides by, is always set.

    Parameters
    ----------
    engine
        `xlite._C`.
    decoder, run, weights
        The model, how it is run, and how its weights lie.
    """
    config, ranks = engine.ModelConfig(), run.ranks
    config.attn_type = engine.AttnMHA
    # The engine gives each rank an equal part, and whoever cut the vocabulary has padded it.
    config.vocab_size = weights.vocab_rows * ranks.tp_size
    config.hidden_size = decoder.hidden_size
    config.n_layers = decoder.num_layers
    config.n_dense_layers = 0 if decoder.num_experts else decoder.num_layers
    config.intermediate_size = decoder.intermediate_size
    config.norm_eps = decoder.norm_eps
    config.n_heads = decoder.num_heads
    config.n_kv_heads = decoder.num_kv_heads
    config.head_dim = decoder.head_dim
    config.rope_head_dim = decoder.rotary_dim
    config.softmax_scale = decoder.head_dim**-0.5
    config.qkv_bias = decoder.family.has_qkv_bias
    config.qk_norm = decoder.family.has_qk_norm
    config.weight_nz = weights.are_nz
    _set_experts(config, engine, decoder, weights)
    config.deepstack_num_level = decoder.num_deepstack_layers
    config.mrope_section = list(decoder.mrope_section)
    config.mrope_interleaved = decoder.is_mrope_interleaved
    config.max_seq_len = run.max_seq_len
    config.max_batch_size = run.max_requests
    config.max_m = run.max_tokens
    config.block_size = run.block_size
    config.def_tp_size = ranks.tp_size
    config.def_dp_size = ranks.dp_size
    config.moe_tp_size = ranks.moe_tp_size
    config.moe_ep_size = ranks.moe_ep_size
    return config


def _set_experts(config: Any, engine: Any, decoder: XliteDecoder, weights: XliteWeights) -> None:
    if not decoder.num_experts:
        return
    config.n_routed_experts = decoder.num_experts
    config.n_act_experts = decoder.num_experts_per_token
    config.moe_intermediate_size = decoder.expert_intermediate_size
    config.norm_topk_prob = decoder.renormalizes
    config.scoring_func = engine.ScoringFuncSoftmax
    config.experts_weight_transpose = weights.are_experts_transposed
    config.experts_weight_nz = weights.are_experts_nz
    config.gate_captured = weights.is_gate_nz
