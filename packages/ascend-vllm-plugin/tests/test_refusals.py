# SPDX-License-Identifier: Apache-2.0
"""What cannot work is refused by the option that asks for it, while vLLM builds a configuration."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch_npu
from ascend_core import OptionError
from vllm.config import CompilationConfig, VllmConfig

from ascend_vllm_plugin import refusals, tested

Make = Callable[..., VllmConfig]


def test_what_works_is_not_refused(make_config: Make) -> None:
    config = make_config(dtype="bfloat16")

    assert config.parallel_config.worker_cls == "ascend_vllm_plugin.worker.NpuWorker"


def test_all_problems_are_reported_at_once(make_config: Make) -> None:
    with pytest.raises(ValueError, match="2 options") as caught:
        make_config(block_size=16, additional_config={"graph_updat_order": "later"})

    assert "--block-size = 16" in str(caught.value)
    assert "graph_update_order" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({}, {"block_size": 16}, "--block-size = 16.*multiples of 128"),
        ({}, {"kv_cache_dtype": "fp8"}, "--kv-cache-dtype = 'fp8'.*auto"),
        ({}, {"tensor_parallel_size": 2}, "--tensor-parallel-size = 2.*this process sees 1"),
        ({}, {"pipeline_parallel_size": 2}, "--pipeline-parallel-size = 2"),
        (
            {},
            {"enforce_eager": True, "compilation_config": {"cudagraph_mode": "FULL"}},
            "--enforce-eager.*contradicts cudagraph_mode = FULL",
        ),
    ],
)
def test_an_option_is_refused_by_its_name(
    changes: dict[str, object], options: dict[str, object], words: str, make_config: Make
) -> None:
    with pytest.raises(ValueError, match=words):
        make_config(changes, **options)


@pytest.mark.parametrize(
    ("changes", "ranks", "words"),
    [
        ({}, 3, "num_attention_heads = 2"),
        ({"num_attention_heads": 12, "num_key_value_heads": 4}, 3, "num_key_value_heads = 4"),
        ({"num_attention_heads": 3, "num_key_value_heads": 3}, 3, "intermediate_size = 64"),
    ],
)
def test_ranks_that_cannot_share_the_model_equally_are_refused(
    changes: dict[str, object],
    ranks: int,
    words: str,
    make_config: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch_npu.npu, "device_count", lambda: ranks)

    with pytest.raises(ValueError, match=f"--tensor-parallel-size = {ranks}.*{words} equally"):
        make_config(changes, tensor_parallel_size=ranks)


def test_keys_of_one_head_may_be_on_several_ranks(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_npu.npu, "device_count", lambda: 4)

    make_config({"num_attention_heads": 8, "num_key_value_heads": 2}, tensor_parallel_size=4)


def test_a_configuration_without_a_model_is_left_to_vllm() -> None:
    refusals.check_config(VllmConfig(compilation_config=CompilationConfig(backend="inductor")))


def test_what_is_merely_untested_is_a_warning(
    make_config: Make, vllm_log: pytest.LogCaptureFixture
) -> None:
    config = make_config()
    config.parallel_config.nnodes = 2

    refusals.warn_untested(config)

    assert "not tried on this platform, so check what it does: --nnodes" in vllm_log.text


def test_a_model_that_was_never_compared_is_a_warning(
    make_config: Make, vllm_log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tested, "tested_modes", dict)

    make_config()

    assert "Qwen3ForCausalLM, whose answers were never compared" in vllm_log.text


def test_a_mode_in_which_a_model_was_never_compared_is_a_warning(
    make_config: Make, vllm_log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = {"Qwen3ForCausalLM": frozenset(("eager", "PIECEWISE"))}
    monkeypatch.setattr(tested, "tested_modes", lambda: compared)

    make_config(compilation_config={"cudagraph_mode": "PIECEWISE"})
    assert "not tried" not in vllm_log.text
    make_config(compilation_config={"cudagraph_mode": "FULL"})

    assert "cudagraph_mode = FULL with Qwen3ForCausalLM" in vllm_log.text


@pytest.mark.parametrize(
    ("changes", "need"),
    [
        ({"attn_logit_softcapping": 50.0}, "a soft cap on attention scores"),
        ({"alibi": True}, "ALiBi"),
        ({"attention_chunk_size": 64}, "attention in chunks"),
        ({"index_topk": 8}, "sparse attention"),
        ({"is_encoder_decoder": True}, "attention of a decoder to an encoder"),
        ({"canvas_length": 8}, "generation by diffusion"),
        ({"dual_chunk_attention_config": {"chunk_size": 128}}, "dual-chunk attention"),
    ],
)
def test_a_model_is_refused_for_what_it_needs_and_not_for_its_name(
    changes: dict[str, object], need: str, make_config: Make
) -> None:
    with pytest.raises(ValueError, match=f"--model = 'Qwen3ForCausalLM: {need}"):
        make_config(changes)


def test_types_without_a_kernel_are_refused() -> None:
    refusals.check_dtype(torch.bfloat16)
    with pytest.raises(OptionError, match=r"--dtype = torch\.float64.*bfloat16"):
        refusals.check_dtype(torch.float64)


@pytest.mark.parametrize("need", ["use_sparse", "has_sink"])
def test_attention_that_is_not_causal_is_refused(need: str) -> None:
    selector = {"use_sparse": False, "has_sink": False}
    refusals.check_attention(SimpleNamespace(**selector))
    with pytest.raises(OptionError, match="--model"):
        refusals.check_attention(SimpleNamespace(**selector | {need: True}))


def test_the_kernel_decides_which_heads_it_takes(make_config: Make) -> None:
    refusals.check_kernel(make_config())
    with pytest.raises(OptionError, match="--model = '3 heads of 32, 2 of keys"):
        refusals.check_kernel(make_config({"num_attention_heads": 3, "num_key_value_heads": 2}))
