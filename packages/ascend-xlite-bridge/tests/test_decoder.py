# SPDX-License-Identifier: Apache-2.0
"""A config becomes the sizes and switches that the engine computes with."""

import pytest
import torch
from models import make_config

from ascend_xlite_bridge import XliteDecoder, XliteRanks, XliteUnsupportedError


def decoder(family, **changes):
    return XliteDecoder.from_config(make_config(family, **changes), torch.bfloat16)


def test_sizes_of_a_dense_model():
    found = decoder("llama")

    assert (found.vocab_size, found.hidden_size, found.num_layers) == (512, 256, 2)
    assert (found.num_heads, found.num_kv_heads, found.head_dim) == (4, 2, 64)
    assert found.num_experts == found.num_deepstack_layers == 0
    assert not found.family.has_qkv_bias
    assert not found.family.has_qk_norm


def test_a_head_of_a_size_of_its_own():
    found = decoder("qwen3")

    assert found.head_dim == found.rotary_dim == 128
    assert found.family.has_qk_norm


def test_biases_of_qwen2():
    assert decoder("qwen2").family.has_qkv_bias


def test_experts():
    found = decoder("qwen3_moe")

    assert (found.num_experts, found.num_experts_per_token) == (128, 8)
    assert found.expert_intermediate_size == 64
    assert found.renormalizes


def test_weights_of_experts_that_are_not_renormalized():
    assert not decoder("qwen3_moe", norm_topk_prob=False).renormalizes


def test_a_model_that_sees():
    found = decoder("qwen3_vl")

    assert found.mrope_section == (12, 10, 10)
    assert found.is_mrope_interleaved
    assert found.num_deepstack_layers == 2


def test_experts_of_a_model_that_sees_are_renormalized_though_its_config_does_not_say():
    found = decoder("qwen3_vl_moe")

    assert found.renormalizes
    assert found.num_experts == 128


def test_a_part_of_a_head_is_rotated():
    config = make_config("llama", head_dim=128)
    config.rope_parameters = {"rope_type": "default", "partial_rotary_factor": 0.5}

    assert XliteDecoder.from_config(config, torch.bfloat16).rotary_dim == 64


@pytest.mark.parametrize(("tp_size", "expected"), [(1, 2), (2, 1), (4, 1)])
def test_more_ranks_than_key_and_value_heads_share_them(tp_size, expected):
    assert decoder("llama").num_local_kv_heads(XliteRanks(tp_size=tp_size)) == expected


def test_a_model_beyond_the_limits_is_refused():
    with pytest.raises(XliteUnsupportedError, match="attention_bias"):
        decoder("llama", attention_bias=True)
