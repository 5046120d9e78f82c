# SPDX-License-Identifier: Apache-2.0
"""What `compat` changes in vLLM does what it says, and vLLM still needs it."""

import gc
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch_npu
from ascend_core import OptionError
from vllm.config import CompilationConfig, CUDAGraphMode, VllmConfig
from vllm.distributed import (
    destroy_distributed_environment,
    destroy_model_parallel,
    get_world_group,
    init_distributed_environment,
)
from vllm.platforms import current_platform
from vllm.v1.worker.block_table import BlockTable

from ascend_vllm_plugin.communicator import NpuCommunicator
from ascend_vllm_plugin.compat import (
    deepstack,
    engine_memory,
    environment,
    options,
    torch_cuda,
    worker,
)
from ascend_vllm_plugin.graph_wrapper import NpuGraphWrapper


def test_defaults_do_not_overrule_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_USE_AOT_COMPILE", raising=False)
    monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", "1")

    environment.set_defaults()

    assert os.environ["VLLM_USE_AOT_COMPILE"] == "0"
    assert os.environ["VLLM_USE_V2_MODEL_RUNNER"] == "1"


def test_an_unknown_graph_mode_names_the_known_ones() -> None:
    options.name_unknown_graph_modes()

    assert CUDAGraphMode["FULL"] is CUDAGraphMode.FULL
    with pytest.raises(OptionError, match=r"cudagraph_mode = 'FULLY'.*PIECEWISE"):
        CUDAGraphMode["FULLY"]


class SeeingModel(torch.nn.Module):
    """Has what vLLM's Qwen3-VL has of deepstack, whose module cannot be imported everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.deepstack_input_embeds = [torch.zeros(5, 4) for _ in range(2)]
        self.deepstack_input_embeds_num_tokens = 0

    def _clear_deepstack_input_embeds(self, num_tokens: int) -> None:
        for buffer in self.deepstack_input_embeds:
            buffer[:num_tokens].zero_()
        self.deepstack_input_embeds_num_tokens = 0


def test_features_of_images_are_lent_for_a_step_and_are_zeros_afterwards() -> None:
    model, features = SeeingModel(), torch.arange(24.0).view(2, 3, 4)
    with deepstack.deepstack_of(model, 3) as without_images:
        assert list(without_images) == []
    for buffer, values in zip(model.deepstack_input_embeds, features, strict=True):
        buffer[:3] = values
    model.deepstack_input_embeds_num_tokens = 3

    with deepstack.deepstack_of(model, 3) as lent:
        assert torch.equal(torch.stack(list(lent)), features)

    assert not any(buffer.any() for buffer in model.deepstack_input_embeds)
    with deepstack.deepstack_of(model, 3) as afterwards:
        assert list(afterwards) == []


def test_a_model_without_such_features_lends_none() -> None:
    with deepstack.deepstack_of(torch.nn.Linear(1, 1), 3) as lent:
        assert list(lent) == []


def test_fusion_passes_are_off() -> None:
    config = VllmConfig(compilation_config=CompilationConfig(mode=0))
    passes = config.compilation_config.pass_config
    passes.fuse_norm_quant = passes.enable_qk_norm_rope_fusion = True

    options.clear_fusion_passes(config)

    assert not passes.fuse_norm_quant
    assert not passes.enable_qk_norm_rope_fusion


def test_options_are_checked_as_the_user_gave_them(
    make_config: Callable[..., VllmConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM overwrites the graph mode when graphs are off; the check comes before that."""
    seen: list[CUDAGraphMode] = []
    hook = VllmConfig.__post_init__
    monkeypatch.setattr(VllmConfig, "__post_init__", getattr(hook, "__wrapped__", hook))
    check = lambda config: seen.append(config.compilation_config.cudagraph_mode)  # noqa: E731
    options.check_before_vllm(check)
    options.check_before_vllm(check)

    config = make_config(enforce_eager=True, compilation_config={"cudagraph_mode": "FULL"})

    assert seen[0] == CUDAGraphMode.FULL
    assert len(seen) == 1
    assert config.compilation_config.cudagraph_mode == CUDAGraphMode.NONE


# vLLM looks for the kernel in every attribute of every module, deprecated ones included.
@pytest.mark.filterwarnings("ignore:`torch.distributed.reduce_op`:FutureWarning")
def test_the_runner_computes_slots_without_triton() -> None:
    current_platform.register_triton_kernel_overrides()
    table = BlockTable(
        block_size=128,
        max_num_reqs=4,
        max_num_blocks_per_req=8,
        max_num_batched_tokens=64,
        pin_memory=False,
        device=torch.device("npu"),
        cp_kv_cache_interleave_size=1,
    )
    table.add_row([3, 5], 0)
    table.commit_block_table(1)

    positions = torch.tensor([0, 127, 128]).npu()
    table.compute_slot_mapping(1, torch.tensor([0, 3], dtype=torch.int32).npu(), positions)

    assert table.slot_mapping.gpu[:3].tolist() == [3 * 128, 3 * 128 + 127, 5 * 128]


def test_streams_of_cuda_are_streams_of_the_npu() -> None:
    torch_cuda.alias_torch_cuda()
    stream, event = torch.cuda.Stream(), torch.cuda.Event()

    with torch.cuda.stream(stream):
        assert torch_npu.npu.current_stream() == stream
        event.record()
    torch.cuda.current_stream().wait_event(event)

    assert isinstance(stream, torch_npu.npu.Stream)


def test_wrappers_of_other_engines_are_not_listed() -> None:
    ours, other = (VllmConfig(compilation_config=CompilationConfig(mode=0)) for _ in range(2))
    wrappers = [NpuGraphWrapper(max, config, CUDAGraphMode.FULL) for config in (ours, ours, other)]

    assert set(engine_memory.graph_wrappers(ours)) == set(wrappers[:2])


def test_compiled_code_does_not_keep_a_model() -> None:
    model = torch.nn.Linear(2, 2)
    compiled = torch.compile(model, backend="eager")
    compiled(torch.ones(1, 2))
    is_gone = weakref.ref(model)

    engine_memory.release_compiled_code(model)
    del model, compiled
    gc.collect()

    assert is_gone() is None


@pytest.fixture
def one_rank(tmp_path: Path) -> Iterator[NpuCommunicator]:
    """The communicator of a group of one."""
    meeting = f"file://{tmp_path / 'meeting'}"
    init_distributed_environment(1, 0, meeting, 0, "hccl")
    group = get_world_group()
    yield NpuCommunicator(group.cpu_group, torch.device("npu", 0), group.device_group)
    destroy_model_parallel()
    destroy_distributed_environment()


def test_a_sum_over_ranks_leaves_its_input_alone(one_rank: NpuCommunicator) -> None:
    ones = torch.ones(3).npu()

    total = one_rank.all_reduce(ones)

    assert total.data_ptr() != ones.data_ptr()
    assert total.tolist() == ones.tolist() == [1, 1, 1]


def test_graphs_are_captured_with_our_communicator(one_rank: NpuCommunicator) -> None:
    worker.accept_communicator(NpuCommunicator)
    torch_cuda.alias_torch_cuda()
    group = get_world_group()
    group.device_communicator = one_rank

    with group.graph_capture() as context:
        assert torch_npu.npu.current_stream() == context.stream
