# SPDX-License-Identifier: Apache-2.0
"""Interpolation and its gradients."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.aclnn import call
from support.oracle import FLOATS, assert_same, values, with_gradients

SHAPES = {1: (2, 3, 7), 2: (2, 3, 7, 5), 3: (1, 2, 3, 4, 5)}
MODES = [
    *((mode, dims) for dims in SHAPES for mode in ("nearest", "nearest-exact")),
    ("linear", 1),
    ("bilinear", 2),
    ("bicubic", 2),
    ("trilinear", 3),
]
SMOOTH = [case for case in MODES if "nearest" not in case[0]]


@pytest.mark.parametrize("size", ["size", "factor"])
@pytest.mark.parametrize(("mode", "dims"), MODES)
def test_interpolation_and_its_gradient(mode, dims, size):
    by = {"size": (6, 9, 4)[:dims]} if size == "size" else {"scale_factor": 1.7}
    assert_same(
        with_gradients(lambda t: F.interpolate(t, mode=mode, **by)), values(*SHAPES[dims]), scale=4
    )


@pytest.mark.parametrize(("mode", "dims"), SMOOTH)
def test_corners_that_are_aligned(mode, dims):
    assert_same(
        lambda t: F.interpolate(t, size=(6, 9, 4)[:dims], mode=mode, align_corners=True),
        values(*SHAPES[dims]),
        scale=4,
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_interpolation_of_other_dtypes(mode, dtype):
    assert_same(lambda t: F.interpolate(t, size=(9, 4), mode=mode), values(1, 2, 5, 7, dtype=dtype))


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("by", [{"size": (4, 3)}, {"scale_factor": (0.55, 0.75)}], ids=str)
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiased_interpolation_and_its_gradient(mode, by, corners):
    def run(t):
        return F.interpolate(t, mode=mode, antialias=True, align_corners=corners, **by)

    assert_same(with_gradients(run), values(1, 2, 9, 7), scale=4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiased_interpolation_in_low_precision_is_rounded_once(mode, dtype):
    """PyTorch on the CPU has none."""
    x = values(1, 2, 9, 7, dtype=dtype)
    actual = F.interpolate(x.npu(), size=(4, 3), mode=mode, antialias=True)
    expected = F.interpolate(x.float(), size=(4, 3), mode=mode, antialias=True)
    torch.testing.assert_close(actual.cpu(), expected.to(dtype))


# --- operators that torch_npu only calls where CANN has no later version of them ------------------


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("dims", [1, 2])
def test_nearest_to_a_size(dims, dtype):
    size = [6, 9][:dims]

    def run(t):
        if t.device.type == "cpu":
            return F.interpolate(t, size=size)
        out = t.new_zeros(*t.shape[:2], *size)
        call(f"aclnnUpsampleNearest{dims}d", t, size, out)
        return out

    x = values(*SHAPES[dims], dtype=dtype)
    assert_same(run, x, exact=True)
    assert_same(run, x.transpose(0, 1), exact=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("scales", [(0.0, 0.0), (1.3, 1.9)], ids=["size", "factors"])
def test_gradient_of_bilinear_interpolation(corners, scales, dtype):
    shape, size = [2, 3, 7, 5], [9, 9]

    def run(grad):
        if grad.device.type == "cpu":
            factors = (scale or None for scale in scales)
            return torch.ops.aten.upsample_bilinear2d_backward(grad, size, shape, corners, *factors)
        grad_input = grad.new_zeros(shape)
        arguments = grad, size, shape, corners, *scales
        call("aclnnUpsampleBilinear2dBackward", *arguments, grad_input)
        return grad_input

    assert_same(run, values(2, 3, *size, dtype=dtype), scale=4)
