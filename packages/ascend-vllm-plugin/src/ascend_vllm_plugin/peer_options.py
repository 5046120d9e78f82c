# SPDX-License-Identifier: Apache-2.0
"""The keys that vllm-ascend reads in ``additional_config``, and what to do with each here.

People who come from vllm-ascend bring a configuration with several of them. Names are those of its
documentation (docs/source/user_guide/configuration/additional_config.md, up to 0.30.0rc2).
"""

__all__ = ["PEER_OPTIONS"]

_KEYS = {
    "leave it out: nothing is fused": "ascend_compilation_config ascend_fusion_config",
    "VLLM_LOGGING_CONFIG_PATH, vLLM's own way to log into files": "ascend_log_path",
    "leave it out: vLLM's own scheduler runs, with vLLM's options": """
        ascend_scheduler_config enable_balance_scheduling profiling_chunk_config
        recompute_scheduler_enable scheduler_config short_request_first_config
    """,
    "leave it out: this version has nothing like it": """
        c8_enable_reshape_optim chunked_prefill_for_mla draft_window_size dump_config
        dump_config_path dynamic_eplb dynamic_spec_config enable_dsa_cp enable_fused_mc2
        enable_kv_nz enable_mc2_hierarchy_comm enable_mlapo enable_prefill_mc2
        enable_shared_expert_dp enable_sparse_li_c8 enable_sparse_sfa_c8
        enable_transpose_kv_cache_by_block eplb_config expert_map_path mega_moe_max_tokens
        mix_placement multistream_dsv4_dsa_overlap multistream_overlap_shared_expert
        rejection_sampler_config rl_config sparse_kv_offload_config
    """,
    "leave it out, and start the server with taskset or numactl": "enable_cpu_binding",
    "leave it out: logits are gathered whole": "enable_reduce_sample",
    "leave it out: weights stay in ND format": "enable_weight_nz_layout weight_nz_mode",
    "leave it out: --tensor-parallel-size splits every layer alike": """
        finegrained_tp_config layer_sharding lmhead_tensor_parallel_size
        oproj_tensor_parallel_size
    """,
    "leave it out: --profiler-config is the way to profile": "msmonitor_use_daemon",
    "leave it out: one attention kernel serves all sizes": "pa_shape_list",
    "leave it out: every engine reads its own configuration": "refresh",
}

PEER_OPTIONS = {key: advice for advice, keys in _KEYS.items() for key in keys.split()}
"""What to do instead, by key."""
