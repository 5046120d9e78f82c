# SPDX-License-Identifier: Apache-2.0
"""Products of quantised matrices: exact against integers, and within the error of quantisation."""

import pytest
import torch
import torch_npu
from _oracle import run_and_wait, values


def int8(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-128, 128, shape, generator=generator).to(torch.int8)


def int4(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-8, 8, shape, generator=generator).to(torch.int8)


def packed_int4(matrix):
    """Eight int4 of a row in one int32, the first in the lowest bits."""
    places = (matrix.long() & 0xF).unflatten(-1, (-1, 8)) << torch.arange(0, 32, 4)
    total = places.sum(-1)
    return torch.where(total >= 2**31, total - 2**32, total).int()


def product(x1, x2):
    return x1.long() @ x2.long()


def fp19(scale):
    """The upper 19 bits of a float32: what a packed scale keeps of it."""
    return (scale.view(torch.int32) & -8192).view(torch.float32)


X1, X2 = int8(5, 48), int8(48, 24, seed=1)
PER_TENSOR, PER_CHANNEL = torch.tensor([0.013]), values(24, seed=2).abs() / 100


# --- npu_quant_matmul ----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [PER_TENSOR, PER_CHANNEL], ids=["per tensor", "per channel"])
@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("bias", [None, torch.int32, torch.float32, torch.bfloat16], ids=str)
def test_bfloat16_of_an_integer_product(scale, per_token, bias):
    bias = None if bias is None else (values(24, seed=3) * 50).to(bias)
    tokens = values(5, seed=4).abs() if per_token else None
    actual = torch_npu.npu_quant_matmul(
        X1.npu(),
        X2.npu(),
        scale.npu(),
        pertoken_scale=None if tokens is None else tokens.npu(),
        bias=None if bias is None else bias.npu(),
        output_dtype=torch.bfloat16,
    )
    expected = product(X1, X2)
    if bias is not None and bias.dtype == torch.int32:
        expected = expected + bias
    expected = expected.float() * scale
    if tokens is not None:
        expected = expected * tokens.unsqueeze(1)
    if bias is not None and bias.dtype != torch.int32:
        expected = expected + bias
    assert torch.equal(actual.cpu(), expected.bfloat16())


def test_float16_takes_a_scale_of_19_bits_without_per_token_scale():
    actual = torch_npu.npu_quant_matmul(
        X1.npu(), X2.npu(), PER_CHANNEL.npu(), output_dtype=torch.float16
    )
    assert torch.equal(actual.cpu(), (product(X1, X2).float() * fp19(PER_CHANNEL)).half())


@pytest.mark.parametrize("offset", [None, torch.tensor([3.0]), torch.tensor([-200.0])], ids=str)
def test_int8_is_rounded_and_saturates(offset):
    actual = torch_npu.npu_quant_matmul(
        X1.npu(),
        X2.npu(),
        PER_TENSOR.npu() / 4,
        offset=None if offset is None else offset.npu(),
    )
    expected = product(X1, X2).float() * fp19(PER_TENSOR / 4)
    if offset is not None:
        expected = expected + offset
    assert torch.equal(actual.cpu(), expected.round().clamp(-128, 127).to(torch.int8))
    assert actual.cpu().int().abs().max() >= 127


def test_int32_is_the_sum_itself():
    bias = torch.arange(24, dtype=torch.int32) * 1000
    actual = torch_npu.npu_quant_matmul(
        X1.npu(), X2.npu(), PER_CHANNEL.npu(), bias=bias.npu(), output_dtype=torch.int32
    )
    assert torch.equal(actual.cpu(), (product(X1, X2) + bias).int())


@pytest.mark.parametrize("k", [1, 1024, 1025, 5000])
def test_sums_are_exact_however_long(k):
    x1, x2 = torch.full((2, k), -128, dtype=torch.int8), torch.full((k, 3), -128, dtype=torch.int8)
    x1[0, 0] = 127
    actual = torch_npu.npu_quant_matmul(
        x1.npu(), x2.npu(), torch.ones(1).npu(), output_dtype=torch.int32
    )
    assert torch.equal(actual.cpu(), product(x1, x2).int())


def test_batches_are_broadcast_and_weights_may_be_transposed():
    x1, x2 = int8(3, 2, 5, 16), int8(2, 24, 16, seed=1)
    actual = torch_npu.npu_quant_matmul(
        x1.npu(), x2.npu().transpose(1, 2), PER_CHANNEL.npu(), output_dtype=torch.bfloat16
    )
    expected = product(x1, x2.transpose(1, 2)).float() * PER_CHANNEL
    assert torch.equal(actual.cpu(), expected.bfloat16())


@pytest.mark.parametrize("transposed", [False, True])
def test_int4_comes_packed_in_int32(transposed):
    x1, x2 = int4(5, 48), int4(48, 24, seed=1)
    weight = packed_int4(x2.t().contiguous()).npu().t() if transposed else packed_int4(x2).npu()
    actual = torch_npu.npu_quant_matmul(
        packed_int4(x1).npu(), weight, PER_CHANNEL.npu(), output_dtype=torch.float16
    )
    assert torch.equal(actual.cpu(), (product(x1, x2).float() * fp19(PER_CHANNEL)).half())


@pytest.mark.parametrize("offset", [None, torch.tensor([-5.4]), torch.tensor([300.0])], ids=str)
def test_scale_and_offset_are_packed_into_64_bits(offset):
    packed = torch_npu.npu_trans_quant_param(
        PER_CHANNEL.npu(), None if offset is None else offset.npu()
    ).cpu()
    assert torch.equal((packed & 0xFFFFFFFF).int().view(torch.float32), fp19(PER_CHANNEL))
    assert (packed >> 46 == 1).all()
    expected = 0 if offset is None else int(offset.round().clamp(-256, 255)) & 0x1FF
    assert (packed >> 37 & 0x1FF == expected).all()


def test_the_scale_may_be_rounded_to_19_bits():
    packed = torch_npu.npu_trans_quant_param(PER_CHANNEL.npu(), round_mode=1).cpu()
    rounded = (packed & 0xFFFFFFFF).int().view(torch.float32)
    assert ((rounded - PER_CHANNEL).abs() <= (fp19(PER_CHANNEL) - PER_CHANNEL).abs()).all()
    assert (rounded > PER_CHANNEL).any()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"output_dtype": torch.float32}, "out must be int8, float16, bfloat16 or int32"),
        ({"output_dtype": torch.float16, "scale": PER_CHANNEL.bfloat16()}, "float32 x2Scale"),
        ({"output_dtype": torch.float16, "bias": torch.zeros(24)}, "bias must be int32"),
        ({"pertoken_scale": torch.ones(5)}, "takes an int64 x2Scale and no x1Scale"),
        (
            {"output_dtype": torch.bfloat16, "offset": torch.ones(1)},
            "x2Offset is only taken with an int8 out",
        ),
        ({"scale": torch.ones(23)}, "x2Scale must have 1 or 24 elements"),
        ({"pertoken_scale": torch.ones(4), "output_dtype": torch.bfloat16}, "x1Scale must have"),
        ({"x1": int8(5, 47)}, "x2 must have 47 rows"),
    ],
)
def test_quant_matmul_refuses(arguments, text):
    given = {"x1": X1, "x2": X2, "scale": PER_CHANNEL} | arguments
    given = {k: v.npu() if isinstance(v, torch.Tensor) else v for k, v in given.items()}
    if given.get("output_dtype") == torch.float16 and "bias" not in arguments:
        given["pertoken_scale"] = torch.ones(5).npu()
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_quant_matmul, **given)
