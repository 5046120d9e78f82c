# SPDX-License-Identifier: Apache-2.0
"""The keys that vllm-ascend reads in ``additional_config``, and what to do with each here.

People who come from vllm-ascend bring a configuration with several of them. Names are those of its
documentation (docs/source/user_guide/configuration/additional_config.md, up to 0.30.0rc2).
"""

__all__ = ["PEER_OPTIONS"]

_EXPERTS = "leave it out: no mixture of experts in this version"
_LATENT = "leave it out: no latent or sparse attention in this version"
_DUMP = "leave it out: nothing here dumps tensors"
_SCHEDULER = "leave it out: vLLM's own scheduler runs, with vLLM's options"
_DRAFTS = "leave it out: no speculative decoding in this version"
_LAYERS = "leave it out: --tensor-parallel-size splits every layer alike"

PEER_OPTIONS: dict[str, str] = {
    "ascend_compilation_config": "leave it out: nothing is fused",
    "ascend_fusion_config": "leave it out: nothing is fused",
    "ascend_log_path": "VLLM_LOGGING_CONFIG_PATH, vLLM's own way to log into files",
    "ascend_scheduler_config": _SCHEDULER,
    "c8_enable_reshape_optim": _LATENT,
    "chunked_prefill_for_mla": _LATENT,
    "draft_window_size": _DRAFTS,
    "dump_config": _DUMP,
    "dump_config_path": _DUMP,
    "dynamic_eplb": _EXPERTS,
    "dynamic_spec_config": _DRAFTS,
    "enable_balance_scheduling": _SCHEDULER,
    "enable_cpu_binding": "leave it out, and start the server with taskset or numactl",
    "enable_dsa_cp": _LATENT,
    "enable_fused_mc2": _EXPERTS,
    "enable_kv_nz": _LATENT,
    "enable_mc2_hierarchy_comm": _EXPERTS,
    "enable_mlapo": _LATENT,
    "enable_prefill_mc2": _EXPERTS,
    "enable_reduce_sample": "leave it out: logits are gathered whole",
    "enable_shared_expert_dp": _EXPERTS,
    "enable_sparse_li_c8": _LATENT,
    "enable_sparse_sfa_c8": _LATENT,
    "enable_transpose_kv_cache_by_block": "leave it out: no transfer of caches in this version",
    "enable_weight_nz_layout": "leave it out: weights stay in ND format",
    "eplb_config": _EXPERTS,
    "expert_map_path": _EXPERTS,
    "finegrained_tp_config": _LAYERS,
    "layer_sharding": _LAYERS,
    "lmhead_tensor_parallel_size": _LAYERS,
    "mega_moe_max_tokens": _EXPERTS,
    "mix_placement": _EXPERTS,
    "msmonitor_use_daemon": "leave it out: --profiler-config is the way to profile",
    "multistream_dsv4_dsa_overlap": _LATENT,
    "multistream_overlap_shared_expert": _EXPERTS,
    "oproj_tensor_parallel_size": _LAYERS,
    "pa_shape_list": "leave it out: one attention kernel serves all sizes",
    "profiling_chunk_config": _SCHEDULER,
    "recompute_scheduler_enable": _SCHEDULER,
    "refresh": "leave it out: every engine reads its own configuration",
    "rejection_sampler_config": _DRAFTS,
    "rl_config": "leave it out: no switch for reinforcement learning in this version",
    "scheduler_config": _SCHEDULER,
    "short_request_first_config": _SCHEDULER,
    "sparse_kv_offload_config": _LATENT,
    "weight_nz_mode": "leave it out: weights stay in ND format",
}
"""What to do instead, by key."""
