# SPDX-License-Identifier: Apache-2.0
"""Xlite mode as far as no engine is needed: what is refused, which graphs are left, whose step."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch_npu
from ascend_xlite_bridge import XliteRanks, XliteUnavailableError
from vllm.config import CompilationMode, CUDAGraphMode, VllmConfig
from vllm.v1.attention.backend import CommonAttentionMetadata

from ascend_vllm_plugin.attention import NpuAttentionMetadata
from ascend_vllm_plugin.xlite import check, run, steps

Make = Callable[..., VllmConfig]

TAKEN = {"head_dim": 64}  # the engine rotates 64 or 128 lanes


@pytest.fixture
def make(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Build a configuration with xlite, as if the library was there."""
    monkeypatch.setattr(check, "check_library", lambda: None)

    def make(
        changes: dict[str, Any] | None = None, *, full_mode: bool = False, **options: Any
    ) -> VllmConfig:
        xlite = {"xlite_graph_config": {"enabled": True, "full_mode": full_mode}}
        defaults = {"dtype": "bfloat16", "additional_config": xlite}
        return make_config(TAKEN | (changes or {}), **(defaults | options))

    return make


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({}, {"dtype": "float32"}, r"--dtype = 'float32': xlite .*bfloat16, float16"),
        ({"head_dim": 32}, {}, "model rotary dimension = 32"),
        ({"attention_bias": True}, {}, "model attention_bias = True: xlite would leave out"),
        ({}, {"block_size": 16}, "--block-size = 16"),
        ({}, {"enable_lora": True}, "--enable-lora"),
        ({}, {"quantization": "fp8"}, "--quantization = 'fp8'"),
    ],
)
def test_what_xlite_cannot_do_is_refused_by_name(
    changes: dict[str, Any], options: dict[str, Any], words: str, make: Make
) -> None:
    with pytest.raises(ValueError, match=words):
        make(changes, **options)


def test_xlite_has_no_stages(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a device for each stage."""
    monkeypatch.setattr(torch_npu.npu, "device_count", lambda: 2)

    with pytest.raises(ValueError, match="--pipeline-parallel-size = 2: xlite has no stages"):
        make(pipeline_parallel_size=2)


@pytest.mark.parametrize("full_mode", [False, True])
def test_experts_are_computed_in_both_modes(full_mode: bool, make: Make) -> None:
    experts = {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 64,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "norm_topk_prob": True,
    }
    assert make(experts, full_mode=full_mode).model_config.is_moe


@pytest.mark.parametrize(
    ("architecture", "xlite", "is_run"),
    [
        ("Qwen3VLForConditionalGeneration", {"enabled": True}, True),
        ("Qwen3VLForConditionalGeneration", {"enabled": True, "full_mode": True}, True),
        ("Qwen3VLForConditionalGeneration", {"enabled": False}, False),
        ("Qwen3VLMoeForConditionalGeneration", {"enabled": True}, True),
        ("Qwen3VLForConditionalGeneration", {"enabled": "yes"}, False),
    ],
)
def test_models_that_see_run_with_xlite(
    architecture: str, xlite: dict[str, Any], is_run: bool
) -> None:
    config = SimpleNamespace(additional_config={"xlite_graph_config": xlite})
    assert (architecture in check.architectures_of_xlite(config)) == is_run


def test_what_the_platform_refuses_anyway_is_said_once(make: Make) -> None:
    with pytest.raises(ValueError, match="--enable-lora") as caught:
        make(enable_lora=True)
    assert str(caught.value).count("option --enable-lora") == 1


def test_a_library_that_cannot_be_used_is_refused_with_the_command_that_mends_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise XliteUnavailableError("it is not installed", "Run `pip install xlite`")

    monkeypatch.setattr(check, "check_library", unavailable)

    with pytest.raises(ValueError, match=r"xlite_graph_config\.enabled") as caught:
        make()
    for words in ("it is not installed", "`pip install xlite`"):
        assert words in str(caught.value)


def test_without_xlite_nothing_of_it_is_looked_for(make_config: Make) -> None:
    """Given a model that xlite does not take, and options that turn it off."""
    off = {"xlite_graph_config": {"enabled": False}}
    config = make_config({"head_dim": 32}, dtype="bfloat16", additional_config=off)
    assert list(check.xlite_problems(config)) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, "PIECEWISE"),
        ({"cudagraph_mode": "FULL_AND_PIECEWISE"}, "PIECEWISE"),
        ({"cudagraph_mode": "PIECEWISE"}, "PIECEWISE"),
        ({"cudagraph_mode": "FULL_DECODE_ONLY"}, "NONE"),
        ({"cudagraph_mode": "NONE"}, "NONE"),
        ({"cudagraph_mode": "FULL"}, "FULL"),
        ({"mode": 0}, "NONE"),
    ],
)
def test_graphs_that_serve_decode_steps_alone_are_not_captured(
    given: dict[str, Any], kept: str, make: Make
) -> None:
    """FULL graphs of a mixed batch are for prefill too, so they stay."""
    config = make(max_model_len=512, max_num_batched_tokens=512, compilation_config=given)
    assert config.compilation_config.cudagraph_mode == CUDAGraphMode[kept]


@pytest.mark.parametrize("given", [{}, {"cudagraph_mode": "FULL_AND_PIECEWISE"}])
def test_in_full_mode_nothing_is_captured_or_compiled(given: dict[str, Any], make: Make) -> None:
    compilation = make(full_mode=True, compilation_config=given).compilation_config
    assert compilation.cudagraph_mode == CUDAGraphMode.NONE
    assert compilation.cudagraph_capture_sizes == []
    assert compilation.mode == CompilationMode.NONE


def test_a_mode_that_is_changed_is_said(make: Make, vllm_log: pytest.LogCaptureFixture) -> None:
    vllm_log.set_level("INFO")
    make(compilation_config={"cudagraph_mode": "FULL_DECODE_ONLY"})
    assert (
        "cudagraph_mode is NONE, not FULL_DECODE_ONLY: xlite runs decode steps" in vllm_log.messages
    )


@pytest.mark.parametrize(("full_mode", "most_tokens"), [(False, 4), (True, 256)])
def test_the_engine_plans_for_the_steps_that_it_gets(
    full_mode: bool, most_tokens: int, make: Make
) -> None:
    config = make(full_mode=full_mode, max_num_seqs=4, max_num_batched_tokens=256)
    made = run.make_run(config)
    assert (made.max_tokens, made.max_requests) == (most_tokens, 4)
    assert (made.max_seq_len, made.block_size) == (512, 128)
    assert made.ranks == XliteRanks(rank=0, tp_size=1, dp_size=1)


class Engine:
    """Stands for the bridge's model: keeps what it is given."""

    pool_mebibytes = 3

    def __init__(self) -> None:
        self.calls: list[str] = []

    def forward(self, step: Any, **inputs: torch.Tensor) -> torch.Tensor:
        self.step, self.inputs = step, inputs
        return inputs["input_ids"]

    def wait(self) -> None:
        self.calls.append("wait")

    def close(self) -> None:
        self.calls.append("close")


class Buffers:
    """Stands for the bridge's memory of steps: hands on what it is given."""

    def device_step(self, **parts: Any) -> dict[str, Any]:
        return parts


def metadata(queries: list[int], context: list[int]) -> NpuAttentionMetadata:
    lengths = [query + before for query, before in zip(queries, context, strict=True)]
    starts = torch.tensor([0, *queries]).cumsum(0).int()
    table = torch.arange(2 * len(queries), dtype=torch.int32).view(-1, 2)
    batch = CommonAttentionMetadata(
        query_start_loc=starts,
        query_start_loc_cpu=starts,
        seq_lens=torch.tensor(lengths, dtype=torch.int32),
        num_reqs=len(queries),
        num_actual_tokens=sum(queries),
        max_query_len=max(queries),
        max_seq_len=max(lengths),
        block_table_tensor=table,
        slot_mapping=torch.arange(sum(queries)),
    )
    ends = starts[1:].tolist()
    return NpuAttentionMetadata(ends, lengths, table, max(queries), sum(queries), batch)


def test_decode_steps_are_xlites_and_the_others_in_full_mode_too() -> None:
    decode_only, full = (
        steps.XliteSteps(Engine(), Buffers(), is_full=is_full) for is_full in (0, 1)
    )
    assert decode_only.takes(3, 3)
    assert not decode_only.takes(4, 3)
    assert full.takes(3, 3)
    assert full.takes(4, 3)
    assert (decode_only.mode, full.mode) == ("decode", "full")


def test_a_step_is_made_of_what_vllm_has_on_the_host_and_on_the_device() -> None:
    engine = Engine()
    of_step = metadata([3, 1, 2], [0, 9, 130])
    ids = torch.arange(6)

    hidden = steps.XliteSteps(engine, Buffers(), is_full=True).forward(
        of_step,
        positions=ids + 100,
        input_ids=ids,
        inputs_embeds=None,
        deepstack=(),
        host_table=torch.zeros(3, 2, dtype=torch.int32),
    )

    assert hidden is ids
    assert engine.step["lens_cpu"] == [3, 1, 2]
    assert engine.step["seq_lens_cpu"] == [3, 10, 132]
    batch = of_step.batch
    assert batch is not None
    assert engine.step["query_start_loc"] is batch.query_start_loc
    assert engine.step["seq_lens"] is batch.seq_lens
    assert engine.step["slot_mapping"] is batch.slot_mapping
    assert engine.step["block_table"] is batch.block_table_tensor


def test_a_step_of_a_model_that_sees_is_made_on_the_host() -> None:
    """Given positions of three coordinates, in vLLM's buffer, whose rows lie apart."""
    engine, features = Engine(), [torch.ones(6, 4)]
    positions = torch.arange(30).view(3, 10)[:, :6]
    table = torch.tensor([[7, 0, 0], [2, 0, 0], [5, 3, 0], [0, 0, 0]], dtype=torch.int32)

    steps.XliteSteps(engine, Buffers(), is_full=True).forward(
        metadata([3, 1, 2], [0, 9, 130]),
        positions=positions,
        input_ids=None,
        inputs_embeds=torch.zeros(6, 4),
        deepstack=features,
        host_table=table,
    )

    assert engine.inputs["deepstack"] is features
    assert engine.step.lens == [3, 1, 2]
    assert engine.step.cached_lens == [0, 9, 130]
    assert engine.step.block_tables == [[7], [2], [5, 3]]
    assert torch.equal(engine.step.positions, positions)
    assert engine.step.positions.is_contiguous()


def test_ranks_close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own steps have ended, then those of the others; then memory goes, and only once."""
    engine, group = Engine(), object()
    monkeypatch.setattr(steps, "meet", lambda of: engine.calls.append("meet") or of)
    rank = steps.XliteSteps(engine, Buffers(), is_full=True, group=group)

    rank.close()
    rank.close()

    assert engine.calls == ["wait", "meet", "close", "close"]


def test_a_rank_alone_waits_for_nobody() -> None:
    engine = Engine()
    steps.XliteSteps(engine, Buffers(), is_full=True).close()
    assert engine.calls == ["close"]
