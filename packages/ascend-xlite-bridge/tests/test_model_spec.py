# SPDX-License-Identifier: Apache-2.0
import dataclasses
import pickle

import pytest

from ascend_xlite_bridge import (
    ARCHITECTURES,
    XliteConfig,
    XliteModelSpec,
    XliteUnsupportedError,
    validate,
)

ENABLED = XliteConfig(enabled=True)
DENSE = XliteModelSpec(
    architecture="Qwen3ForCausalLM",
    dtype="bfloat16",
    hidden_size=1024,
    num_attention_heads=16,
    rotary_dim=128,
)
EXPERTS = dataclasses.replace(DENSE, architecture="Qwen3MoeForCausalLM", num_experts=128)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_of_a_known_family_passes(architecture):
    validate(ENABLED, dataclasses.replace(DENSE, architecture=architecture))


@pytest.mark.parametrize(
    "fitting",
    [
        {"dtype": "float16"},
        {"rotary_dim": 64},
        {"block_size": 16},
        {"block_size": 128},
        {"tensor_parallel_size": 8},
        {"num_speculative_tokens": 1},
    ],
)
def test_a_dense_model_at_the_edge_of_the_limits_passes(fitting):
    validate(ENABLED, dataclasses.replace(DENSE, **fitting))


def test_a_model_with_experts_passes():
    validate(ENABLED, EXPERTS)


@pytest.mark.parametrize(
    ("model", "beyond", "option"),
    [
        (DENSE, {"architecture": "GPT2LMHeadModel"}, "model architecture"),
        (DENSE, {"dtype": "float32"}, "--dtype"),
        (EXPERTS, {"dtype": "float16"}, "--dtype"),
        (DENSE, {"hidden_size": 1000}, "model hidden_size"),
        (DENSE, {"biased_layers": ("o_proj",)}, "model biases"),
        (DENSE, {"rotary_dim": 96}, "model rotary dimension"),
        (DENSE, {"is_neox_rope": False}, "model rotary style"),
        (DENSE, {"attention_features": ("sliding_window",)}, "model attention"),
        (EXPERTS, {"is_every_layer_sparse": False}, "model mlp_only_layers / decoder_sparse_step"),
        (DENSE, {"block_size": 256}, "--block-size"),
        (DENSE, {"block_size": 0}, "--block-size"),
        (DENSE, {"tensor_parallel_size": 3}, "--tensor-parallel-size"),
        (DENSE, {"pipeline_parallel_size": 2}, "--pipeline-parallel-size"),
        (DENSE, {"num_speculative_tokens": 2}, "--speculative-config.num_speculative_tokens"),
        (DENSE, {"is_lora_enabled": True}, "--enable-lora"),
    ],
)
def test_a_model_beyond_one_limit_is_refused_by_the_name_of_the_option(model, beyond, option):
    with pytest.raises(XliteUnsupportedError) as caught:
        validate(ENABLED, dataclasses.replace(model, **beyond))

    assert [problem.option for problem in caught.value.problems] == [option]
    assert option in str(caught.value)


def test_all_that_does_not_fit_is_told_at_once():
    spec = dataclasses.replace(DENSE, dtype="float32", block_size=256, is_lora_enabled=True)

    with pytest.raises(XliteUnsupportedError) as caught:
        validate(ENABLED, spec)

    options = {problem.option for problem in caught.value.problems}
    assert options == {"--dtype", "--block-size", "--enable-lora"}


def test_nothing_is_checked_while_xlite_is_off():
    validate(XliteConfig(), dataclasses.replace(DENSE, architecture="GPT2LMHeadModel"))


def test_the_error_travels_between_processes():
    with pytest.raises(XliteUnsupportedError) as caught:
        validate(ENABLED, dataclasses.replace(DENSE, dtype="float32"))

    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
