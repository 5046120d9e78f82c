# SPDX-License-Identifier: Apache-2.0
"""DeepSeek-V2 and -V3 on fused operators: the logits of transformers, eager and in a graph."""

import copy

import pytest
import torch
from deepseek import BLOCK, DeepseekOnNpu, Step
from transformers import (
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
)

VOCABULARY, BATCH, LENGTH, BLOCKS = 101, 2, 21, 2

SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 3,
    "first_k_dense_replace": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 32,
    "v_head_dim": 24,
    "n_routed_experts": 16,
    "num_experts_per_tok": 4,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,  # experts that differ: 0.02 would leave all of them near-equal
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
    "mscale": 0.7,
    "mscale_all_dim": 0.7,
}
MODELS = {
    "V2, like Lite": (
        DeepseekV2Config,
        DeepseekV2ForCausalLM,
        {"q_lora_rank": None, "topk_method": "greedy", "n_shared_experts": 2},
    ),
    "V2": (
        DeepseekV2Config,
        DeepseekV2ForCausalLM,
        {
            "q_lora_rank": 48,
            "topk_method": "group_limited_greedy",
            "n_group": 4,
            "topk_group": 2,
            "n_shared_experts": 2,
            "routed_scaling_factor": 4.0,
        },
    ),
    "V3": (
        DeepseekV3Config,
        DeepseekV3ForCausalLM,
        {
            "q_lora_rank": 48,
            "n_group": 4,
            "topk_group": 2,
            "n_shared_experts": 1,
            "rope_parameters": YARN,
        },
    ),
}


@pytest.fixture(scope="module", params=MODELS)
def reference(request):
    torch.manual_seed(0)
    config, model, specifics = MODELS[request.param]
    model = model(config(**SHAPE, **specifics)).eval()
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):  # 0 as it is made: it would not be noticed
            buffer.normal_(0, 0.2)
    return model


@pytest.fixture
def model(reference):
    return DeepseekOnNpu(copy.deepcopy(reference)).npu()


def _tokens(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (BATCH, LENGTH), generator=generator)


def _step(first, length):
    """Sequences whose blocks alternate."""
    table = torch.arange(BATCH * BLOCKS, dtype=torch.int32).view(BLOCKS, BATCH).t().contiguous()
    positions = torch.arange(first, first + length)
    slots = table[:, positions // BLOCK].long() * BLOCK + positions % BLOCK
    return Step(first, slots.flatten().npu(), table.npu())


def _relative_error(actual, expected):
    return ((actual.cpu() - expected).abs().max() / expected.abs().max()).item()


@torch.inference_mode()
def test_logits_equal_those_of_transformers(reference, model):
    tokens = _tokens(0)
    actual = model(tokens.npu(), model.caches(BATCH * BLOCKS), _step(0, LENGTH))
    assert _relative_error(actual, reference(tokens).logits) < 1e-4


@torch.inference_mode()
def test_decode_steps_read_the_cache_of_a_prefill(reference, model):
    tokens, caches, prompt = _tokens(0), model.caches(BATCH * BLOCKS), 14
    logits = [model(tokens[:, :prompt].npu(), caches, _step(0, prompt))]
    for position in range(prompt, LENGTH):
        token = tokens[:, position : position + 1].npu()
        logits.append(model(token, caches, _step(position, 1)))
    assert _relative_error(torch.cat(logits, 1), reference(tokens).logits) < 1e-4


@pytest.mark.parametrize("first", [0, LENGTH - 1], ids=["prefill", "decode"])
@torch.inference_mode()
def test_a_graph_gives_the_logits_of_other_tokens(reference, model, first):
    tokens, caches = _tokens(0).npu(), model.caches(BATCH * BLOCKS)
    part, step = tokens[:, first:].clone(), _step(first, LENGTH - first)
    model(part, caches, step)  # whatever is set up at the first call is not to be captured
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        logits = model(part, caches, step)
    for seed in (1, 2):
        tokens.copy_(_tokens(seed))
        if first:
            model(tokens[:, :first], caches, _step(0, first))
        part.copy_(tokens[:, first:])
        graph.replay()
        expected = reference(_tokens(seed)).logits[:, first:]
        assert _relative_error(logits, expected) < 1e-4
