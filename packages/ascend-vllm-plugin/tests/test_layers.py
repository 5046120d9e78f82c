# SPDX-License-Identifier: Apache-2.0
"""Layers on fused kernels give what their formulas give in plain PyTorch on the CPU."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from vllm.config import CompilationConfig, VllmConfig, set_current_vllm_config
from vllm.model_executor.layers.rotary_embedding import RotaryEmbedding

from ascend_vllm_plugin.ops import NpuRMSNorm, NpuSiluAndMul, compute_slot_mapping, register_layers
from ascend_vllm_plugin.ops._rotary import NpuRotary

TOLERANCE = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-5},
    torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2},
}
DTYPES = list(TOLERANCE)


@pytest.fixture(autouse=True)
def layers_of_the_plugin() -> Iterator[None]:
    """Layers are what a model gets when it is built: vLLM's classes, replaced by ours."""
    register_layers()
    with set_current_vllm_config(VllmConfig(compilation_config=CompilationConfig(mode=0))):
        yield


def random(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).to(dtype)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    return F.rms_norm(x.float(), x.shape[-1:], weight.float(), epsilon).to(x.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rms_norm_scales_by_the_root_of_the_mean_square(dtype: torch.dtype) -> None:
    layer = NpuRMSNorm(64, eps=1e-5, dtype=dtype)
    layer.weight.data.copy_(random(64, dtype=dtype))
    x = random(5, 3, 64, dtype=dtype)
    expected = rms_norm(x, layer.weight, 1e-5)
    result = layer.npu()(x.npu()).cpu()
    torch.testing.assert_close(result, expected, **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_rms_norm_with_a_residual_also_gives_the_sum(dtype: torch.dtype) -> None:
    layer = NpuRMSNorm(64, eps=1e-5, dtype=dtype)
    x, residual = random(5, 64, dtype=dtype), random(5, 64, dtype=dtype).flip(0)
    normed, total = layer.npu()(x.npu(), residual.npu())
    torch.testing.assert_close(total.cpu(), x + residual)
    expected = rms_norm(x + residual, torch.ones(64, dtype=dtype), 1e-5)
    torch.testing.assert_close(normed.cpu(), expected, **TOLERANCE[dtype])


def test_rms_norm_over_a_part_of_its_input_is_right_and_says_that_it_is_slow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    layer = NpuRMSNorm(64, eps=1e-5, var_hidden_size=32)
    x = random(5, 64, dtype=torch.float32)
    expected = x * torch.rsqrt(x[:, :32].square().mean(-1, keepdim=True) + 1e-5)
    torch.testing.assert_close(layer.npu()(x.npu()).cpu(), expected)
    assert any("npu_rms_norm" in message for message in caplog.messages)


@pytest.mark.parametrize("dtype", DTYPES)
def test_silu_and_mul_gates_the_second_half_by_the_first(dtype: torch.dtype) -> None:
    x = random(5, 64, dtype=dtype)
    gate, up = x.float().chunk(2, dim=-1)
    result = NpuSiluAndMul()(x.npu()).cpu()
    torch.testing.assert_close(result, (F.silu(gate) * up).to(dtype), **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rotary_dim", [32, 64])
def test_rotary_embedding_turns_pairs_by_their_position(
    dtype: torch.dtype, rotary_dim: int
) -> None:
    head, base = 64, 10000.0
    layer = RotaryEmbedding(head, rotary_dim, 128, base, is_neox_style=True, dtype=dtype).npu()
    assert isinstance(layer, NpuRotary)
    positions = torch.tensor([0, 1, 7, 100])
    query, key = random(4, 4 * head, dtype=dtype), random(4, 2 * head, dtype=dtype)
    rotated = [tensor.cpu() for tensor in layer(positions.npu(), query.npu(), key.npu())]
    for before, after in zip((query, key), rotated, strict=True):
        expected = turned(before.view(4, -1, head).float(), positions, rotary_dim, base)
        torch.testing.assert_close(
            after.view(4, -1, head), expected.to(dtype), **TOLERANCE[dtype]
        )  # fmt: skip


def turned(x: torch.Tensor, positions: torch.Tensor, dim: int, base: float) -> torch.Tensor:
    """Rotate as complex numbers: element i is paired with element i + dim / 2."""
    angles = positions[:, None] * base ** (-torch.arange(0, dim, 2) / dim)
    pairs = torch.complex(x[..., : dim // 2], x[..., dim // 2 : dim])
    pairs = pairs * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.cat([pairs.real, pairs.imag, x[..., dim:]], dim=-1)


def test_a_rotary_embedding_of_odd_size_is_right_and_says_that_it_is_slow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    head, base = 24, 10000.0
    layer = RotaryEmbedding(head, head, 128, base, is_neox_style=True, dtype=torch.float32).npu()
    positions = torch.tensor([0, 7, 100])
    query, key = random(3, head, dtype=torch.float32), random(3, head, dtype=torch.float32)
    rotated, _ = layer(positions.npu(), query.npu(), key.npu())
    expected = turned(query.view(3, 1, head), positions, head, base)
    torch.testing.assert_close(rotated.cpu().view(3, 1, head), expected)
    assert any("npu_mrope" in message for message in caplog.messages)


def test_a_model_may_say_after_the_layer_is_made_that_pairs_are_interleaved() -> None:
    """As vLLM's ERNIE 4.5 does, which changes the layers that a Llama made."""
    head, base = 64, 10000.0
    layer = RotaryEmbedding(head, head, 128, base, is_neox_style=True, dtype=torch.float32).npu()
    layer.is_neox_style = False
    positions = torch.tensor([0, 7, 100])
    query, key = random(3, head, dtype=torch.float32), random(3, head, dtype=torch.float32)
    rotated, _ = layer(positions.npu(), query.npu(), key.npu())
    by_halves = query.view(3, 1, -1, 2).transpose(2, 3).flatten(2)  # pairs are apart by a half
    expected = turned(by_halves, positions, head, base).view(3, 1, 2, -1).transpose(2, 3)
    torch.testing.assert_close(rotated.cpu().view(3, 1, head), expected.flatten(2))


def test_slot_mapping_pads_all_the_rest_of_the_buffer() -> None:
    slots = torch.zeros(8, dtype=torch.int64).npu()
    compute_slot_mapping(
        num_tokens=3,
        max_num_tokens=8,
        query_start_loc_ptr=torch.tensor([0, 2, 3], dtype=torch.int32).npu(),
        positions_ptr=torch.tensor([127, 128, 5]).npu(),
        block_table_ptr=torch.tensor([[3, 9], [4, 0]], dtype=torch.int32).npu(),
        block_table_stride=2,
        slot_mapping_ptr=slots,
        KV_CACHE_BLOCK_SIZE=128,
        TOTAL_CP_WORLD_SIZE=1,
        TOTAL_CP_RANK=0,
        CP_KV_CACHE_INTERLEAVE_SIZE=1,
        PAD_ID=-1,
        BLOCK_SIZE=1024,
    )
    assert slots.tolist() == [3 * 128 + 127, 9 * 128, 4 * 128 + 5, -1, -1, -1, -1, -1]
