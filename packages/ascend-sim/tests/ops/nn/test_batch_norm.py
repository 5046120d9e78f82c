# SPDX-License-Identifier: Apache-2.0
"""Normalization over batches and groups, and the gradients of all norms."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.oracle import FLOATS, assert_same, values, with_gradients


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 5), (2, 6, 4, 3)], ids=str)
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_batch_norm_and_its_statistics(shape, training):
    def run(x, weight, bias, mean, var):
        y = F.batch_norm(x, mean, var, weight, bias, training=training, momentum=0.3)
        return y, mean, var

    vectors = values(6, seed=1), values(6, seed=2), values(6, seed=3), values(6, seed=4).abs()
    assert_same(run, values(*shape), *vectors)


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_gradient_of_batch_norm(training):
    mean, var = values(6, seed=3), values(6, seed=4).abs() + 0.1

    def run(x, weight, bias):
        statistics = mean.to(x.device), var.to(x.device)
        return F.batch_norm(x, *statistics, weight, bias, training=training)

    assert_same(
        with_gradients(run), values(4, 6, 5), values(6, seed=1), values(6, seed=2), scale=10
    )


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("dims", [1, 2])
def test_gradient_of_layer_norm(dims, affine):
    shape = (5, 8)[-dims:]
    weights = [values(*shape, seed=1), values(*shape, seed=2)] if affine else []
    run = with_gradients(lambda x, *w: F.layer_norm(x, shape, *w))
    assert_same(run, values(3, 5, 8), *weights, scale=10)


def test_gradient_of_group_norm():
    run = with_gradients(lambda x, *w: F.group_norm(x, 3, *w))
    assert_same(run, values(2, 6, 4, 3), values(6, seed=1), values(6, seed=2), scale=10)


def rms_norm(x: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    if x.device.type == "npu":
        return torch_npu.npu_rms_norm(x, gamma, 1e-6)[0]
    return F.rms_norm(x, gamma.shape, gamma, 1e-6)


def test_gradient_of_rms_norm():
    assert_same(with_gradients(rms_norm), values(3, 5, 8), values(8, seed=1), scale=10)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("scale", [None, 1.7], ids=["silu", "swish"])
def test_group_norm_with_an_activation(scale, dtype):
    # npu_group_norm_silu.md, npu_group_norm_swish.md: y = n / (1 + exp(-scale * n)).
    x, weight, bias = (
        values(*s, dtype=dtype, seed=i) for i, s in enumerate([(2, 6, 5), (6,), (6,)])
    )
    if scale is None:
        results = torch_npu.npu_group_norm_silu(x.npu(), weight.npu(), bias.npu(), 3)
    else:
        results = torch_npu.npu_group_norm_swish(
            x.npu(), 3, weight.npu(), bias.npu(), swish_scale=scale
        )
    normal = F.group_norm(x.float(), 3, weight.float(), bias.float())
    expected = normal * torch.sigmoid((scale or 1) * normal)
    groups = x.float().view(2, 3, -1)
    tolerance = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}[dtype]
    close = {"rtol": tolerance, "atol": tolerance}
    torch.testing.assert_close(results[0].cpu().float(), expected, **close)
    torch.testing.assert_close(results[1].cpu().float(), groups.mean(-1), **close)
    rstd = (groups.var(-1, correction=0) + 1e-5).rsqrt()
    torch.testing.assert_close(results[2].cpu().float(), rstd, **close)
