# SPDX-License-Identifier: Apache-2.0
"""Qwen3-MoE on fused operators: the logits of transformers, eager and as one captured graph."""

import copy

import pytest
import torch
from qwen3_moe import EXPERT_PATHS, Qwen3MoeOnNpu
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

VOCABULARY, BATCH, LENGTH = 101, 2, 9


def _reference(experts, k):
    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        moe_intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_experts=experts,
        num_experts_per_tok=k,
        norm_topk_prob=True,
        initializer_range=0.2,  # experts that differ: 0.02 would leave all of them near-equal
    )
    return Qwen3MoeForCausalLM(config).eval()


def _tokens(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (BATCH, LENGTH), generator=generator)


def _relative_error(actual, expected):
    return ((actual.cpu() - expected).abs().max() / expected.abs().max()).item()


@pytest.fixture(scope="module", params=[(8, 2), (128, 8)], ids=["8 experts", "128 experts"])
def reference(request):
    return _reference(*request.param)


@pytest.fixture(params=EXPERT_PATHS)
def model(reference, request):
    return Qwen3MoeOnNpu(copy.deepcopy(reference), EXPERT_PATHS[request.param]).npu()


@torch.inference_mode()
def test_logits_equal_those_of_transformers(reference, model):
    tokens = _tokens(0)
    assert _relative_error(model(tokens.npu()), reference(tokens).logits) < 1e-4


@torch.inference_mode()
def test_a_graph_gives_the_logits_of_other_tokens(reference, model):
    tokens = _tokens(0).npu()
    model(tokens)  # whatever is set up at the first call is not to be captured
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        logits = model(tokens)
    for seed in (1, 2):
        tokens.copy_(_tokens(seed))
        graph.replay()
        assert _relative_error(logits, reference(_tokens(seed)).logits) < 1e-4


@torch.inference_mode()
def test_every_expert_path_uses_more_than_one_expert(reference):
    """The comparison above would say little if the router always chose the same experts."""
    logits = reference(_tokens(0), output_router_logits=True).router_logits
    k = reference.config.num_experts_per_tok
    for layer in logits:
        assert layer.topk(k, -1).indices.unique().numel() > k
