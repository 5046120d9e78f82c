# SPDX-License-Identifier: Apache-2.0
"""What xlite would compute wrongly is refused by the name of the feature or the option."""

import dataclasses
import pickle
from types import SimpleNamespace

import pytest
import torch
from ascend_core import OptionError
from models import FAMILIES, make_config

from ascend_xlite_bridge import (
    ARCHITECTURES,
    XliteRanks,
    XliteRun,
    XliteUnsupportedError,
    check_run,
)

RUN = XliteRun(max_tokens=64, max_requests=8, max_seq_len=1024)


def refused(config, dtype=torch.bfloat16, run=RUN):
    with pytest.raises(XliteUnsupportedError) as caught:
        check_run(config, dtype, run)
    assert all(problem.option in str(caught.value) for problem in caught.value.problems)
    return [problem.option for problem in caught.value.problems]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_each_family_passes(family):
    check_run(make_config(family), torch.bfloat16, RUN)


def test_an_unknown_architecture_lists_those_that_are_known():
    with pytest.raises(XliteUnsupportedError) as caught:
        check_run(SimpleNamespace(architectures=["GPT2LMHeadModel"]), torch.bfloat16, RUN)

    assert "GPT2LMHeadModel" in str(caught.value)
    assert all(name in str(caught.value) for name in ARCHITECTURES)


@pytest.mark.parametrize(
    ("family", "change", "option"),
    [
        ("llama", {"hidden_size": 264, "head_dim": 64}, "model hidden_size"),
        ("llama", {"head_dim": 96}, "model rotary dimension"),
        ("llama", {"attention_bias": True}, "model attention_bias"),
        ("llama", {"mlp_bias": True}, "model mlp_bias"),
        ("llama", {"hidden_act": "gelu"}, "model hidden_act"),
        (
            "qwen2",
            {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1},
            "model sliding_window",
        ),
        ("qwen3_moe", {"mlp_only_layers": [0]}, "model mlp_only_layers / decoder_sparse_step"),
        ("qwen3_moe", {"decoder_sparse_step": 2}, "model mlp_only_layers / decoder_sparse_step"),
        ("qwen3_vl_moe", {"mlp_only_layers": [1]}, "model mlp_only_layers / decoder_sparse_step"),
    ],
)
def test_a_feature_that_the_engine_lacks_is_named(family, change, option):
    assert refused(make_config(family, **change)) == [option]


@pytest.mark.parametrize("name", ["attn_logit_softcapping", "final_logit_softcapping"])
def test_a_feature_that_other_families_bring_is_named_too(name):
    config = make_config("llama")
    setattr(config, name, 30.0)

    assert refused(config) == [f"model {name}"]


def test_a_window_that_is_switched_off_is_no_window():
    config = make_config("qwen2", use_sliding_window=False, sliding_window=64)

    check_run(config, torch.bfloat16, RUN)


@pytest.mark.parametrize(
    ("family", "dtype", "is_fitting"),
    [
        ("llama", torch.float16, True),
        ("llama", torch.float32, False),
        ("qwen3_moe", torch.float16, False),
    ],
)
def test_types_that_the_engine_computes_in(family, dtype, is_fitting):
    if is_fitting:
        check_run(make_config(family), dtype, RUN)
    else:
        assert refused(make_config(family), dtype) == ["--dtype"]


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"block_size": 256}, "--block-size"),
        ({"block_size": 0}, "--block-size"),
        ({"ranks": XliteRanks(tp_size=3)}, "--tensor-parallel-size"),
        ({"pipeline_parallel_size": 2}, "--pipeline-parallel-size"),
        ({"num_speculative_tokens": 2}, "--speculative-config.num_speculative_tokens"),
        ({"is_lora_enabled": True}, "--enable-lora"),
    ],
)
def test_a_way_to_run_that_the_engine_lacks_is_named(change, option):
    assert option in refused(make_config("llama"), run=dataclasses.replace(RUN, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"block_size": 16},
        {"ranks": XliteRanks(tp_size=2)},
        {"ranks": XliteRanks(tp_size=4)},  # two ranks have the same key and value head
        {"num_speculative_tokens": 1},
    ],
)
def test_a_way_to_run_at_the_edge_of_the_limits_passes(change):
    check_run(make_config("llama"), torch.bfloat16, dataclasses.replace(RUN, **change))


@pytest.mark.parametrize("is_expert_parallel", [False, True])
def test_data_parallel_ranks_share_experts_that_they_divide(is_expert_parallel):
    def run(size):
        ranks = XliteRanks(dp_size=size, is_expert_parallel=is_expert_parallel)
        return dataclasses.replace(RUN, ranks=ranks)

    check_run(make_config("qwen3_moe"), torch.bfloat16, run(2))
    check_run(make_config("llama"), torch.bfloat16, run(3))
    assert len(refused(make_config("qwen3_moe"), run=run(3))) == 1


def test_all_that_does_not_fit_is_told_at_once():
    run = dataclasses.replace(RUN, block_size=256, is_lora_enabled=True)

    options = refused(make_config("llama"), torch.float32, run)

    assert options == ["--dtype", "--block-size", "--enable-lora"]


def test_the_error_travels_between_processes():
    with pytest.raises(XliteUnsupportedError) as caught:
        check_run(make_config("llama"), torch.float32, RUN)

    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("name", ["max_tokens", "max_requests", "max_seq_len"])
def test_a_run_of_nothing_is_refused(name):
    with pytest.raises(OptionError, match=name):
        dataclasses.replace(RUN, **{name: 0})


@pytest.mark.parametrize(
    ("fields", "option"),
    [({"rank": 2, "tp_size": 2}, "rank"), ({"tp_size": 0}, "tp_size"), ({"rank": -1}, "rank")],
)
def test_a_rank_that_does_not_exist_is_refused(fields, option):
    with pytest.raises(OptionError, match=option):
        XliteRanks(**fields)


@pytest.mark.parametrize(
    ("is_expert_parallel", "expected"), [(False, range(128)), (True, range(32, 64))]
)
def test_experts_are_dealt_out_in_the_order_of_the_ranks(is_expert_parallel, expected):
    ranks = XliteRanks(rank=1, tp_size=4, is_expert_parallel=is_expert_parallel)

    assert ranks.local_experts(128) == expected
