# SPDX-License-Identifier: Apache-2.0
"""Quantization against the formulas of torch_npu's documentation."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.aclnn import call
from support.integers import dynamic, int4, int8, packed_int4, rounded
from support.oracle import run_and_wait, values

HALVES = [torch.float16, torch.bfloat16]


def _npu(tensor):
    return None if tensor is None else tensor.npu()


# --- npu_dynamic_quant ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("shape", [(5, 24), (2, 3, 8)], ids=str)
def test_every_row_gets_a_scale_of_its_own(shape, dtype):
    x = values(*shape, dtype=dtype)
    y, scale = torch_npu.npu_dynamic_quant(x.npu())
    expected, steps = dynamic(x)
    assert torch.equal(y.cpu(), expected)
    assert torch.equal(scale.cpu(), steps)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_error_is_at_most_half_a_step(dtype):
    x = values(16, 64, dtype=dtype)
    y, scale = torch_npu.npu_dynamic_quant(x.npu())
    back = y.cpu().float() * scale.cpu().unsqueeze(1)
    assert ((back - x.float()).abs() <= scale.cpu().unsqueeze(1) * 0.5001).all()


def test_a_row_of_zeros_stays_zeros():
    y, scale = torch_npu.npu_dynamic_quant(torch.zeros(2, 8).half().npu())
    assert not y.any()
    assert scale.tolist() == [0, 0]


def test_columns_are_smoothed_first_for_all_rows_or_by_group():
    x, smooth = values(7, 16).half(), (values(3, 16, seed=1).abs() + 0.5).half()
    y, scale = torch_npu.npu_dynamic_quant(x.npu(), smooth_scales=smooth[0].npu())
    expected, steps = dynamic(x.float() * smooth[0].float())
    assert torch.equal(y.cpu(), expected)
    assert torch.equal(scale.cpu(), steps)
    ends = torch.tensor([2, 2, 7], dtype=torch.int32)
    y, scale = torch_npu.npu_dynamic_quant(
        x.npu(), smooth_scales=smooth.npu(), group_index=ends.npu()
    )
    expected, steps = dynamic(x.float() * smooth[[0, 0, 2, 2, 2, 2, 2]].float())
    assert torch.equal(y.cpu(), expected)
    assert torch.equal(scale.cpu(), steps)


def test_int4_is_packed_into_int32():
    x = values(5, 24).half()
    y, scale = torch_npu.npu_dynamic_quant(x.npu(), dst_type=torch.quint4x2)
    steps = x.float().abs().amax(-1) / 7
    assert torch.equal(y.cpu(), packed_int4((x.float() / steps.unsqueeze(1)).round()))
    assert torch.equal(scale.cpu(), steps)


@pytest.mark.parametrize(("mode", "dims"), [("pertensor", (0, 1)), ("perchannel", (0,))])
def test_one_scale_for_the_tensor_or_for_every_column(mode, dims):
    x = values(5, 8).half()
    y, scale = torch_npu.npu_dynamic_quant(x.npu(), quant_mode=mode)
    steps = x.float().abs().amax(dims, keepdim=True) / 127
    assert torch.equal(y.cpu(), rounded(x.float() / steps))
    assert torch.equal(scale.cpu().flatten(), steps.flatten())


def test_asymmetric_quantization_uses_the_whole_range():
    x = values(5, 24).half() + 3
    y, scale, offset = torch_npu.npu_dynamic_quant_asymmetric(x.npu())
    high, low = x.float().amax(-1, keepdim=True), x.float().amin(-1, keepdim=True)
    steps = (high - low) / 255
    offsets = 127 - high / steps
    assert torch.equal(y.cpu(), rounded(x.float() / steps + offsets))
    assert torch.equal(scale.cpu(), steps.squeeze(1))
    torch.testing.assert_close(offset.cpu(), offsets.squeeze(1))
    assert y.cpu().amax(-1).eq(127).all()


@pytest.mark.parametrize(
    ("x", "smooth", "groups", "text"),
    [
        (values(4, 8), None, None, "x must be float16 or bfloat16"),
        (values(4, 8).half(), values(8), None, "smoothScales must be float16 .as x."),
        (values(4, 8).half(), values(9).half(), None, "smoothScales must have 8 columns"),
        (values(4, 8).half(), None, [4], "only taken with smoothScales"),
        (values(4, 8).half(), values(1025, 8).half(), [4] * 1025, "at most 1024 elements"),
    ],
)
def test_dynamic_quant_refuses(x, smooth, groups, text):
    index = None if groups is None else torch.tensor(groups, dtype=torch.int32).npu()
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(
            torch_npu.npu_dynamic_quant, x.npu(), smooth_scales=_npu(smooth), group_index=index
        )


# --- with given scales ---------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [torch.qint8, torch.quint8, torch.qint32], ids=str)
def test_quantize_divides_along_an_axis(dtype, axis):
    x = values(4, 6) * 5
    scales, points = values(x.size(axis), seed=1).abs() + 0.1, torch.arange(x.size(axis)) - 2
    points = points.clamp(min=0) if dtype == torch.quint8 else points
    given = points.to({torch.qint8: torch.int8, torch.quint8: torch.uint8}.get(dtype, torch.int32))
    actual = torch_npu.npu_quantize(x.npu(), scales.npu(), given.npu(), dtype, axis)
    along = (-1, 1) if axis == 0 else (1, -1)
    expected = (x / scales.view(along) + points.view(along)).round()
    low, high = {torch.qint8: (-128, 127), torch.quint8: (0, 255)}.get(dtype, (-1e9, 1e9))
    assert torch.equal(actual.cpu().double(), expected.clamp(low, high).double())


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("kind", [torch.qint8, torch.quint4x2], ids=str)
def test_quantize_multiplies_along_one_of_the_last_axes(kind, axis):
    x = values(4, 16).half()
    scales, points = values(x.size(axis), seed=1).half() * 4, values(x.size(axis), seed=2).half()
    actual = torch_npu.npu_quantize(x.npu(), scales.npu(), points.npu(), kind, axis, False)
    along = (-1, 1) if axis == -2 else (1, -1)
    expected = (x.float() * scales.view(along).float() + points.view(along).float()).round()
    if kind == torch.qint8:
        assert torch.equal(actual.cpu(), rounded(expected))
    else:
        assert torch.equal(actual.cpu(), packed_int4(expected.clamp(-8, 7)))


def test_ties_go_to_even_and_the_range_saturates():
    x = torch.tensor([[0.5, 1.5, 2.5, -0.5, 300, -300]])
    actual = torch_npu.npu_quantize(x.npu(), torch.ones(1).npu(), None, torch.qint8, -1)
    assert actual.tolist() == [[0, 2, 2, 0, 127, -128]]


@pytest.mark.parametrize("packed", [False, True], ids=["int8", "int4"])
def test_anti_quant_takes_integers_back(packed):
    x = int4(3, 16) if packed else int8(3, 16)
    scale, offset = values(16, seed=1), values(16, seed=2)
    actual = torch_npu.npu_anti_quant(
        packed_int4(x).npu() if packed else x.npu(), scale.npu(), offset=offset.npu()
    )
    assert torch.equal(actual.cpu(), ((x.float() + offset) * scale).half())


def test_dequant_bias_scales_sums():
    x = torch.arange(-12, 12, dtype=torch.int32).view(4, 6) * 1000
    columns, rows = values(6, seed=1).abs(), values(4, seed=2).abs()
    bias = torch.arange(6, dtype=torch.int32)
    actual = torch_npu.npu_dequant_bias(
        x.npu(), columns.npu(), rows.npu(), bias.npu(), output_dtype=torch.bfloat16
    )
    assert torch.equal(actual.cpu(), ((x + bias).float() * columns * rows.unsqueeze(1)).bfloat16())


def test_group_quant_takes_the_scale_of_the_rows_group():
    x, scale = values(6, 8).half(), values(3, 8, seed=1).half() * 20
    ends, offset = torch.tensor([2, 2, 6], dtype=torch.int32), torch.tensor([3.0]).half()
    actual = torch_npu.npu_group_quant(x.npu(), scale.npu(), ends.npu(), offset=offset.npu())
    expected = rounded(x.float() * scale[[0, 0, 2, 2, 2, 2]].float() + 3)
    assert torch.equal(actual.cpu(), expected)


@pytest.mark.parametrize("pairs", [False, True], ids=["places", "rows and places"])
def test_quant_scatter_writes_integers_into_their_places(pairs):
    target, updates = int8(3, 8, 32), values(2, 2, 32, seed=1).half()
    scales = values(32, seed=2).abs() / 50 + 0.01
    indices = torch.tensor([[2, 1], [0, 5]] if pairs else [1, 5], dtype=torch.int32)
    actual = torch_npu.npu_quant_scatter(
        target.npu(), indices.npu(), updates.npu(), scales.npu(), axis=-2, quant_axis=-1
    )
    expected = target.clone()
    for i, where in enumerate([(2, 1), (0, 5)] if pairs else [(0, 1), (1, 5)]):
        expected[where[0], where[1] : where[1] + 2] = rounded(updates[i].float() / scales)
    assert torch.equal(actual.cpu(), expected)
    inplace = target.npu()
    torch_npu.npu_quant_scatter_(
        inplace, indices.npu(), updates.npu(), scales.npu(), axis=-2, quant_axis=-1
    )
    assert torch.equal(inplace.cpu(), expected)


def test_quant_scatter_wants_rows_of_32_bytes():
    with pytest.raises(RuntimeError, match="aligned to 32 bytes"):
        run_and_wait(
            torch_npu.npu_quant_scatter,
            int8(2, 4, 16).npu(),
            torch.zeros(2, dtype=torch.int32).npu(),
            values(2, 1, 16).half().npu(),
            torch.ones(16).npu(),
            axis=-2,
        )


# --- npu_kronecker_quant -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("clip", [1.0, 0.5])
def test_a_token_is_turned_from_both_sides_and_quantized(clip, dtype):
    # Small integers, of which every product and sum is exact.
    x, p1, p2 = (int4(*shape).to(dtype) for shape in ((3, 2, 8), (2, 2), (8, 8)))
    x[1] = 0
    out, scale = torch_npu.npu_kronecker_quant(x.npu(), p1.npu(), p2.npu(), clip_ratio=clip)
    turned = p1.float() @ (x.float() @ p2.float())
    steps = turned.abs().amax((1, 2)) / (7 / clip)
    assert torch.equal(scale.cpu(), steps)
    integers = (turned / steps.clamp(min=1e-9).view(3, 1, 1)).round().clamp(-8, 7)
    assert torch.equal(out.cpu(), packed_int4(integers))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kronecker_p1": values(3, 3).half()}, r"kroneckerP1 must have shape \[2, 2\]"),
        ({"kronecker_p2": values(4, 8).half()}, r"kroneckerP2 must have shape \[8, 8\]"),
        ({"kronecker_p2": values(8, 8).bfloat16()}, "must have x's dtype"),
        ({"clip_ratio": 1.5}, r"clipRatio must be in \(0, 1\], got 1.5"),
        (
            {"x": values(1, 257, 8).half(), "kronecker_p1": values(257, 257).half()},
            r"x must be at most \[262144, 256, 256\]",
        ),
    ],
)
def test_kronecker_quant_refuses(arguments, text):
    given = {
        "x": values(3, 2, 8).half(),
        "kronecker_p1": values(2, 2).half(),
        "kronecker_p2": values(8, 8).half(),
    } | arguments
    given = {name: t.npu() if isinstance(t, torch.Tensor) else t for name, t in given.items()}
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_kronecker_quant, **given)


# --- after a norm --------------------------------------------------------------------------------


def _norm(x, gamma, beta=None):
    x = x.float()
    y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * gamma.float()
    return y if beta is None else y + beta.float()


def _almost(actual, expected):
    """Equal but for values that lie next to the middle between two integers."""
    assert actual.dtype == torch.int8
    difference = (actual.cpu().int() - expected.int()).abs()
    assert difference.max() <= 1
    assert difference.count_nonzero() <= actual.numel() // 50


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_rms_norm_quant(dtype):
    x, gamma, beta = (
        values(*s, dtype=dtype, seed=i) for i, s in enumerate([(5, 32), (32,), (32,)])
    )
    scale, offset = torch.tensor([20.0]).to(dtype), torch.tensor([3], dtype=torch.int8)
    y = torch_npu.npu_rms_norm_quant(x.npu(), gamma.npu(), beta.npu(), scale.npu(), offset.npu())
    _almost(y, rounded(_norm(x, gamma, beta) * 20 + 3))


@pytest.mark.parametrize("div_mode", [True, False])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_add_rms_norm_quant_quantizes_once_or_twice(dtype, div_mode):
    x1, x2 = values(5, 32, dtype=dtype), values(5, 32, dtype=dtype, seed=1)
    gamma, beta = values(32, dtype=dtype, seed=2), values(32, dtype=dtype, seed=3)
    kind = torch.float32 if dtype == torch.float16 else dtype
    scales = [(values(32, seed=s).abs() + 0.5).to(kind) / (16 if div_mode else 1) for s in (4, 5)]
    points = torch.arange(32).to(torch.int32 if dtype == torch.float16 else dtype)
    y1, y2, x = torch_npu.npu_add_rms_norm_quant(
        x1.npu(),
        x2.npu(),
        gamma.npu(),
        scales[0].npu(),
        points.npu(),
        beta.npu(),
        scales[1].npu(),
        points.npu(),
        div_mode=div_mode,
    )
    assert torch.equal(x.cpu(), x1 + x2)
    norm = _norm(x1 + x2, gamma, beta)
    for actual, scale in ((y1, scales[0].float()), (y2, scales[1].float())):
        _almost(actual, rounded((norm / scale if div_mode else norm * scale) + points.float()))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_add_rms_norm_dynamic_quant(dtype):
    x1, x2 = values(5, 32, dtype=dtype), values(5, 32, dtype=dtype, seed=1)
    gamma = values(32, dtype=dtype, seed=2)
    smooth = [(values(32, seed=s).abs() + 0.5).to(dtype) for s in (3, 4)]
    y1, y2, x, scale1, scale2 = torch_npu.npu_add_rms_norm_dynamic_quant(
        x1.npu(),
        x2.npu(),
        gamma.npu(),
        smooth_scale1=smooth[0].npu(),
        smooth_scale2=smooth[1].npu(),
    )
    assert torch.equal(x.cpu(), x1 + x2)
    for actual, scale, factor in ((y1, scale1, smooth[0]), (y2, scale2, smooth[1])):
        expected, steps = dynamic(_norm(x1 + x2, gamma) * factor.float())
        _almost(actual, expected)
        torch.testing.assert_close(scale.cpu(), steps)


def test_a_mask_chooses_the_outputs_of_add_rms_norm_dynamic_quant():
    x, gamma = values(5, 32).half(), values(32, seed=1).half()
    y1, _, _, scale1, _ = torch_npu.npu_add_rms_norm_dynamic_quant(
        x.npu(), x.npu(), gamma.npu(), output_mask=[True, False]
    )
    expected, steps = dynamic(_norm(x + x, gamma))
    _almost(y1, expected)
    torch.testing.assert_close(scale1.cpu(), steps)


def test_norms_that_quantize_take_no_float32():
    x, gamma = values(5, 32), values(32)
    with pytest.raises(RuntimeError, match="x1 must be float16 or bfloat16"):
        run_and_wait(torch_npu.npu_add_rms_norm_dynamic_quant, x.npu(), x.npu(), gamma.npu())


# --- after a gated activation --------------------------------------------------------------------


def _swiglu(x, left):
    a, b = x.float().chunk(2, -1)
    return F.silu(a) * b if left else F.silu(b) * a


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("kind", [0, 1], ids=["ends", "counts"])
def test_swiglu_quant_returns_what_it_multiplied_by(kind, left):
    x, smooth = values(6, 32), values(3, 16, seed=1).abs() + 0.5
    groups = torch.tensor([2, 2, 6] if kind == 0 else [2, 0, 4], dtype=torch.int32)
    y, scale = torch_npu.npu_swiglu_quant(
        x.npu(),
        smooth_scales=smooth.npu(),
        group_index=groups.npu(),
        activate_left=left,
        quant_mode=1,
        group_list_type=kind,
    )
    expected, steps = dynamic(_swiglu(x, left) * smooth[[0, 0, 2, 2, 2, 2]])
    _almost(y, expected)
    torch.testing.assert_close(scale.cpu(), 1 / steps)


def test_swiglu_quant_with_given_scales():
    x, smooth, offset = values(6, 32), values(1, 16, seed=1) * 30, values(1, 16, seed=2)
    y, _ = torch_npu.npu_swiglu_quant(
        x.npu(), smooth_scales=smooth.npu(), offsets=offset.npu(), activate_left=True
    )
    _almost(y, rounded(_swiglu(x, True) * smooth + offset))


@pytest.mark.parametrize("mode", [0, 1, 2], ids=["silu", "interleaved, clamped", "clamped"])
@pytest.mark.parametrize("grouped", [False, True])
def test_sums_are_scaled_gated_and_quantized(grouped, mode):
    hidden = 64
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-5000, 5000, (6, 2 * hidden), generator=generator, dtype=torch.int32)
    groups = 3 if grouped else 1
    owner = torch.tensor([0, 0, 2, 2, 2, 2]) if grouped else torch.zeros(6, dtype=torch.long)
    columns, rows = values(groups, 2 * hidden, seed=1).abs() / 1000, values(6, 1, seed=2).abs()
    smooth = values(groups, hidden, seed=3).abs() + 0.5
    y, scale = torch_npu.npu_dequant_swiglu_quant(
        x.npu(),
        weight_scale=columns.npu(),
        activation_scale=rows.npu(),
        quant_scale=smooth.npu(),
        group_index=torch.tensor([2, 0, 4]).npu() if grouped else None,
        activate_left=True,
        quant_mode=1,
        swiglu_mode=mode,
    )
    real = x.float() * columns[owner] * rows
    if mode == 0:
        gated = _swiglu(real, True)
    else:
        a, b = (real[:, ::2], real[:, 1::2]) if mode == 1 else real.chunk(2, -1)
        a, b = a.clamp(max=7), b.clamp(-7, 7)
        gated = a * torch.sigmoid(1.702 * a) * (b + 1)
    expected, steps = dynamic(gated * smooth[owner])
    _almost(y, expected)
    torch.testing.assert_close(scale.cpu(), steps)


@pytest.mark.parametrize("activate_left", [False, True])
def test_sums_are_scaled_gated_and_quantized_by_the_operator_of_950(activate_left):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-5000, 5000, (6, 128), generator=generator, dtype=torch.int32)
    columns, rows = values(1, 128, seed=1).abs() / 1000, values(6, 1, seed=2).abs()
    smooth = values(1, 64, seed=3).abs() + 0.5
    y, scale = torch.zeros(6, 64, dtype=torch.int8).npu(), torch.zeros(6).npu()
    scales = (columns.npu(), rows.npu(), None, smooth.npu())
    options = (None, None, activate_left, b"dynamic")
    call("aclnnDequantSwigluQuant", x.npu(), *scales, *options, y, scale)
    expected, steps = dynamic(_swiglu(x.float() * columns * rows, activate_left) * smooth)
    _almost(y, expected)
    torch.testing.assert_close(scale.cpu(), steps)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"x": values(4, 128)}, "x must be int32, float16 or bfloat16"),
        (
            {"x": values(4, 128).half(), "activation_scale": values(4, 1)},
            "only taken with an int32",
        ),
        ({}, "activationScale must be given"),
        (
            {
                "x": torch.zeros(4, 96, dtype=torch.int32),
                "activation_scale": values(4, 1),
                "group_index": torch.tensor([4]),
            },
            "H must be a multiple of 64",
        ),
    ],
)
def test_dequant_swiglu_quant_refuses(arguments, text):
    given = {"x": torch.zeros(4, 128, dtype=torch.int32)} | arguments
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_dequant_swiglu_quant, **{k: v.npu() for k, v in given.items()})
