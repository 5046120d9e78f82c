# SPDX-License-Identifier: Apache-2.0
"""Convolutions and their gradients."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.aclnn import refusal
from support.oracle import FLOATS, assert_same, values, with_gradients

CONVOLUTIONS = {
    "1d": (F.conv1d, (2, 4, 9), (6, 4, 3), {}),
    "1d padded, dilated": (F.conv1d, (2, 4, 9), (6, 4, 3), {"padding": 2, "dilation": 2}),
    "1d depthwise": (F.conv1d, (2, 6, 9), (6, 1, 4), {"groups": 6, "padding": 3}),
    "2d": (F.conv2d, (2, 3, 8, 7), (6, 3, 3, 3), {}),
    "2d with stride, as a patch embedding": (F.conv2d, (1, 3, 8, 8), (6, 3, 4, 4), {"stride": 4}),
    "2d grouped": (F.conv2d, (2, 4, 6, 6), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    "2d depthwise": (F.conv2d, (2, 6, 6, 6), (6, 1, 3, 3), {"groups": 6, "padding": 1}),
    "3d": (F.conv3d, (1, 2, 4, 5, 6), (6, 2, 2, 3, 3), {"padding": 1}),
    "1d transposed": (F.conv_transpose1d, (2, 4, 5), (4, 6, 3), {"stride": 2}),
    "2d transposed": (
        F.conv_transpose2d,
        (2, 4, 5, 5),
        (4, 6, 3, 3),
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("with_bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_equals_cpu(name, with_bias, dtype):
    function, shape, weight_shape, options = CONVOLUTIONS[name]
    bias = [values(6, dtype=dtype, seed=2)] if with_bias else []
    x, weight = values(*shape, dtype=dtype), values(*weight_shape, dtype=dtype, seed=1)
    assert_same(lambda *a: function(*a, **options), x, weight, *bias, scale=4)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_gradients_of_a_convolution_equal_cpu(name):
    function, shape, weight_shape, options = CONVOLUTIONS[name]
    operands = values(*shape), values(*weight_shape, seed=1), values(6, seed=2)
    assert_same(with_gradients(lambda *a: function(*a, **options)), *operands, scale=10)


def test_input_without_a_batch_and_with_other_strides():
    image = values(8, 7, 3).permute(2, 0, 1)
    assert_same(F.conv2d, image, values(6, 3, 3, 3, seed=1), scale=4)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("pad", [0, 1])
def test_convolution_of_time_batch_and_channels_and_its_gradients(pad, dtype):
    operands = values(7, 2, 4), values(3, 4, 6, seed=1), values(6, seed=2)
    x, weight, bias = (operand.to(dtype) for operand in operands)

    def run(x, weight, bias):
        return torch.conv_tbc(x, weight, bias, pad=pad)

    assert_same(with_gradients(run), x, weight, bias, scale=10)


def test_gradients_by_time_batch_and_channels_with_other_strides():
    def run(x, weight, bias):
        # The CPU takes dense tensors only.
        return torch.conv_tbc(x if x.device.type == "npu" else x.contiguous(), weight, bias)

    operands = values(2, 7, 4).transpose(0, 1), values(3, 4, 6, seed=1), values(6, seed=2)
    assert_same(with_gradients(run), *operands, scale=10)


def test_a_gradient_of_another_length_is_an_error_of_that_call():
    x, weight, bias = values(7, 2, 4).npu(), values(3, 4, 6).npu(), values(6).npu()
    grads = [torch.empty_like(operand) for operand in (x, weight, bias)]
    status, message = refusal("aclnnConvTbcBackward", x, x, weight, bias, 1, 0, *grads)
    assert status == 161002
    assert "the gradient must have the shape [7, 2, 6], got [7, 2, 4]" in message


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("with_bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_convolution_has_filters_of_its_own_for_each_channel(
    multiplier, with_bias, dtype
):
    def run(x, weight, bias):
        bias = bias if with_bias else None
        if x.device.type == "npu":
            return torch.ops.aten._conv_depthwise2d(
                x, weight, [3, 2], bias, stride=[1, 2], padding=[2, 1], dilation=[1, 3]
            )
        return F.conv2d(
            x, weight, bias, stride=(1, 2), padding=(2, 1), dilation=(1, 3), groups=x.size(1)
        )

    x = values(2, 7, 9, 3, dtype=dtype).permute(0, 3, 1, 2)
    weight = values(3 * multiplier, 1, 3, 2, dtype=dtype, seed=1)
    assert_same(run, x, weight, values(3 * multiplier, dtype=dtype, seed=2), scale=4)


def test_unfold_and_fold():
    image = values(2, 3, 6, 7)
    assert_same(lambda t: F.unfold(t, (2, 3), padding=1, stride=2), image)
    assert_same(with_gradients(lambda t: F.unfold(t, 3, dilation=2)), image)
    assert_same(lambda t: F.fold(t, (6, 7), 2), values(2, 12, 30))
