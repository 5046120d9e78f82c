# SPDX-License-Identifier: Apache-2.0
"""Products of quantized matrices: exact against integers, and within the error of quantization."""

import pytest
import torch
import torch_npu
from support.aclnn import refusal
from support.integers import fp19, int4, int8, packed_int4, product
from support.oracle import run_and_wait, values

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


# --- npu_weight_quant_batchmatmul ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("group_size", [0, 32])
@pytest.mark.parametrize("bits", ["8", "4", "4 transposed"])
@pytest.mark.parametrize("inner_precise", [0, 1])  # 1, about speed, is another operator
def test_weights_of_few_bits_with_floating_point_rows(inner_precise, bits, group_size, dtype):
    k, n = 80, 24
    x, groups = values(5, k, dtype=dtype), -(-k // group_size) if group_size else 1
    scale = (values(groups, n, seed=1) / 50).to(dtype)
    offset, bias = values(groups, n, seed=2).to(dtype), values(n, seed=3)
    bias = bias if dtype == torch.bfloat16 else bias.half()
    weight = int8(k, n) if bits == "8" else int4(k, n)
    given = weight.npu()
    if bits == "4":
        given = packed_int4(weight).npu()
    elif bits == "4 transposed":
        given = packed_int4(weight.t().contiguous()).npu().t()
    actual = torch_npu.npu_weight_quant_batchmatmul(
        x.npu(),
        given,
        scale.npu(),
        offset.npu(),
        bias=bias.npu(),
        antiquant_group_size=group_size,
        inner_precise=inner_precise,
    )
    group = torch.arange(k) // group_size if group_size else torch.zeros(k, dtype=torch.long)
    weights = (weight.double() + offset.double()[group]) * scale.double()[group]
    expected = (x.double() @ weights + bias.double()).to(dtype)
    limit = 1.6e-2 if dtype == torch.bfloat16 else 2e-3
    torch.testing.assert_close(actual.cpu(), expected, rtol=limit, atol=limit)


def test_the_output_may_be_quantized_again():
    x, weight = values(5, 48).half(), int8(48, 24)
    scale, quant_scale = values(24, seed=1).half() / 100, torch.tensor([[8.0]])
    actual = torch_npu.npu_weight_quant_batchmatmul(
        x.npu(), weight.npu(), scale.npu(), quant_scale=quant_scale.npu()
    )
    expected = (x.float() @ (weight.float() * scale.float()) * 8).round().clamp(-128, 127)
    assert (actual.cpu().int() - expected.int()).abs().max() <= 1
    assert actual.dtype == torch.int8


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"x": values(5, 48)}, "x must be float16 or bfloat16"),
        (
            {"antiquant_scale": values(24)},
            "antiquantScale must be int64, float16, bfloat16 or uint64",
        ),
        (
            {"antiquant_scale": values(24, dtype=torch.bfloat16)},
            "antiquantScale must have x's dtype",
        ),
        ({"bias": values(24)}, "bias must be Half"),
        ({"antiquant_offset": values(1).half()}, "antiquantOffset must have"),
    ],
)
def test_weight_quant_matmul_refuses(arguments, text):
    given = {
        "x": values(5, 48).half(),
        "weight": int8(48, 24),
        "antiquant_scale": values(24).half(),
    } | arguments
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(
            torch_npu.npu_weight_quant_batchmatmul, **{k: v.npu() for k, v in given.items()}
        )


def test_weights_may_be_in_blocks():
    torch.npu.config.allow_internal_format = True
    weight = torch_npu.npu_format_cast(X2.npu(), 29)
    torch.npu.config.allow_internal_format = False
    actual = torch_npu.npu_quant_matmul(
        X1.npu(), weight, PER_CHANNEL.npu(), output_dtype=torch.bfloat16
    )
    assert torch.equal(actual.cpu(), (product(X1, X2).float() * PER_CHANNEL).bfloat16())


# --- npu_quant_matmul_gelu -----------------------------------------------------------------------


def _gelu(x, approximate):
    x = x.double()
    if approximate == "gelu_erf":
        return x * 0.5 * (1 + torch.erf(x / 2**0.5))
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("approximate", ["gelu_erf", "gelu_tanh"])
@pytest.mark.parametrize("fractal", [False, True], ids=["ND", "NZ"])
@pytest.mark.parametrize("scale", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("bias", [None, torch.int32, torch.float32], ids=str)
@pytest.mark.usefixtures("internal_formats")
def test_gelu_of_a_quantized_product(approximate, fractal, scale, bias):
    x1, x2 = int8(5, 48), int8(48, 64, seed=1)
    tokens, channels = values(5, seed=4).abs(), (values(64, seed=2).abs() / 1e4).to(scale)
    bias = (
        None if bias is None else values(64, seed=3).mul(5 if bias == torch.int32 else 1).to(bias)
    )
    weights = torch_npu.npu_format_cast(x2.npu(), 29) if fractal else x2.npu()
    actual = torch_npu.npu_quant_matmul_gelu(
        x1.npu(),
        weights,
        tokens.npu(),
        channels.npu(),
        bias=None if bias is None else bias.npu(),
        approximate=approximate,
    )
    sums, shift = product(x1, x2), 0 if bias is None else bias
    if bias is not None and bias.dtype == torch.int32:
        sums, shift = sums + bias, 0
    expected = _gelu(
        sums.double() * channels.double() * tokens[:, None].double() + shift, approximate
    )
    kind = torch.bfloat16 if scale == torch.bfloat16 else torch.float16
    assert actual.dtype == kind
    step = torch.finfo(kind).eps
    torch.testing.assert_close(actual.cpu().double(), expected, rtol=step, atol=1e-4)


def test_gelu_of_a_product_of_int4():
    x1, x2 = int4(3, 16), int4(16, 24, seed=1)
    tokens, channels = values(3, seed=4).abs(), values(24, seed=2).abs() / 50
    actual = torch_npu.npu_quant_matmul_gelu(
        packed_int4(x1).npu(), packed_int4(x2).npu(), tokens.npu(), channels.npu()
    )
    expected = _gelu(product(x1, x2) * channels * tokens[:, None], "gelu_erf")
    torch.testing.assert_close(actual.cpu().double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("tokens", "channels", "text"),
    [
        (torch.ones(4), torch.ones(24), "x1Scale must have one element for each of the 5 rows"),
        (torch.ones(5), torch.ones(23), "x2Scale must have 1 or 24 elements, got 23"),
        (torch.ones(5).half(), torch.ones(24), "x1Scale must be float32, got float16"),
        (torch.ones(5), torch.ones(24).half(), "x2Scale must be float32 or bfloat16, got float16"),
    ],
)
def test_scales_of_gelu_of_a_product(tokens, channels, text):
    """aclnnFusedQuantMatmul.md."""
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(
            torch_npu.npu_quant_matmul_gelu, X1.npu(), X2.npu(), tokens.npu(), channels.npu()
        )


@pytest.mark.parametrize(
    ("operation", "x3", "text"),
    [(b"relu", False, "fusedOpType must be 'gelu_erf' or 'gelu_tanh', got 'relu'"),
     (b"gelu_erf", True, "x3 and x2Offset are not supported")],
)  # fmt: skip
def test_what_a_product_is_fused_with(operation, x3, text):
    out = torch.zeros(5, 24, dtype=torch.float16).npu()
    tokens, channels = torch.ones(5).npu(), torch.ones(24).npu()
    rest = (None, None, None, None, None, out if x3 else None, operation, 0, out)
    status, message = refusal("aclnnFusedQuantMatmul", X1.npu(), X2.npu(), tokens, channels, *rest)
    assert status == 161002
    assert text in message
