# SPDX-License-Identifier: Apache-2.0
"""Requests of many queries attend to keys made of latents; the others attend to latents."""

import logging
from types import SimpleNamespace
from typing import Any

import ascend_sim
import pytest
import torch
from vllm.config import CompilationConfig, CUDAGraphMode
from vllm.v1.attention.backend import CommonAttentionMetadata

from ascend_vllm_plugin.attention.latent_batch import NpuLatentMetadataBuilder

DEEPSEEK_V3 = {
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
}
LEAST = 171


def make_builder(
    mode: CUDAGraphMode = CUDAGraphMode.FULL_AND_PIECEWISE, **sizes: int
) -> NpuLatentMetadataBuilder:
    """A builder for a model of some sizes, with what it reads of vLLM's configuration."""
    layer = SimpleNamespace(
        num_heads=2, chunked_prefill_workspace_size=4096, **(DEEPSEEK_V3 | sizes)
    )
    compilation = CompilationConfig(cudagraph_mode=mode, cudagraph_capture_sizes=[8, 256])
    compilation.static_forward_context["layer"] = layer
    config: Any = SimpleNamespace(
        compilation_config=compilation,
        scheduler_config=SimpleNamespace(max_num_seqs=8, max_num_batched_tokens=1024),
        model_config=SimpleNamespace(dtype=torch.bfloat16),
    )
    spec: Any = None
    return NpuLatentMetadataBuilder(spec, ["layer"], config, torch.device("npu"))


def batch(queries: list[int], before: list[int]) -> CommonAttentionMetadata:
    """Requests with the tokens of each that are computed already."""
    ends = torch.tensor([0, *queries]).cumsum(0).int()
    lengths = torch.tensor(queries).int() + torch.tensor(before).int()
    return CommonAttentionMetadata(
        query_start_loc=ends,
        query_start_loc_cpu=ends,
        seq_lens=lengths,
        seq_lens_cpu_upper_bound=lengths,
        num_reqs=len(queries),
        num_actual_tokens=sum(queries),
        max_query_len=max(queries),
        max_seq_len=int(lengths.max()),
        block_table_tensor=torch.arange(len(queries) * 8, dtype=torch.int32).view(-1, 8).npu(),
        slot_mapping=torch.zeros(sum(queries), dtype=torch.int64),
    )


def test_from_the_first_long_request_on_keys_are_made() -> None:
    builder = make_builder()

    metadata = builder.build(0, batch([1, 20, LEAST, 3], [40, 5, 300, 0]))

    assert builder.reorder_batch_threshold == LEAST - 1  # vLLM puts the others first
    assert metadata.num_decode_tokens == 21
    assert metadata.query_ends == [1, 17, 21]
    assert metadata.kv_lengths == [41, 21, 25]
    assert metadata.block_table[:, 0].tolist() == [0, 8, 8]
    (span,) = metadata.spans
    assert (span.query_ends, span.key_ends) == ([LEAST, LEAST + 3], [LEAST + 300, LEAST + 303])
    assert span.block_table[:, 0].tolist() == [16, 24]


def test_a_long_request_may_be_alone() -> None:
    metadata = make_builder().build(0, batch([400], [0]))

    assert (metadata.num_decode_tokens, metadata.query_ends) == (0, [])
    assert metadata.spans[-1].rows == slice(0, 400)


def test_short_requests_attend_to_latents() -> None:
    assert not make_builder().build(0, batch([1, LEAST - 1], [40, 500])).spans


def test_a_graph_of_mode_full_attends_to_latents_whatever_the_lengths() -> None:
    builder = make_builder(CUDAGraphMode.FULL)

    in_graph = builder.build(0, batch([LEAST], [0]))
    too_large = builder.build(0, batch([LEAST, LEAST], [0, 0]))

    assert not in_graph.spans
    assert too_large.spans[-1].rows == slice(0, 2 * LEAST)


def test_memory_for_keys_and_values_is_what_vllm_leaves_for_them() -> None:
    # Given a request of more tokens than fit
    spans = make_builder().build(0, batch([400], [4000])).spans

    # Each key with its results takes about four times what vLLM counts per token
    assert len(spans) > 1
    assert max(span.key_ends[-1] for span in spans) <= 4096 / 3


def test_keys_are_not_made_if_that_never_pays() -> None:
    builder = make_builder(kv_lora_rank=128)

    assert builder.reorder_batch_threshold is None
    assert not builder.build(0, batch([400], [0])).spans


def test_keys_that_the_device_refuses_are_not_made_and_the_log_says_why(
    vllm_log: pytest.LogCaptureFixture,
) -> None:
    with ascend_sim.device_limits("device"), vllm_log.at_level(logging.INFO):
        builder = make_builder(qk_nope_head_dim=192, v_head_dim=256)

    assert builder.reorder_batch_threshold is None
    assert "the head size must be 64, 128 or 192" in vllm_log.text
