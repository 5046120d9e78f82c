# SPDX-License-Identifier: Apache-2.0
"""Losses and their gradients."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.oracle import FLOATS, assert_same, values, with_gradients

REDUCTIONS = ["none", "mean", "sum"]
LOSSES = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "smooth l1": lambda *a, **o: F.smooth_l1_loss(*a, beta=0.7, **o),
    "soft margin": F.soft_margin_loss,
    "logits": F.binary_cross_entropy_with_logits,
    "logits, weighted": lambda x, y, **o: F.binary_cross_entropy_with_logits(
        x, y, weight=2 * torch.ones_like(x), pos_weight=torch.full_like(x, 3), **o
    ),
    "probabilities": lambda x, y, **o: F.binary_cross_entropy(x.sigmoid(), y, **o),
    "kl": lambda x, y, **o: F.kl_div(x, y, **o),
    "kl of logarithms": lambda x, y, **o: F.kl_div(x, y.log(), log_target=True, **o),
}
CLASSES = {
    "nll": lambda x, y, **o: F.nll_loss(x.log_softmax(-1), y, **o),
    "cross entropy": F.cross_entropy,
    "ignored": lambda x, y, **o: F.cross_entropy(x, y, ignore_index=2, **o),
    "weighted": lambda x, y, **o: F.cross_entropy(
        x, y, weight=torch.linspace(0.5, 2, x.shape[1]).to(x), **o
    ),
    "smoothed": lambda x, y, **o: F.cross_entropy(x, y, label_smoothing=0.1, **o),
}


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_its_gradient_equal_cpu(name, reduction):
    target = values(4, 6, seed=1).sigmoid()
    loss = with_gradients(lambda x: LOSSES[name](x, target.to(x.device), reduction=reduction))
    assert_same(loss, values(4, 6))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["mse", "smooth l1", "soft margin", "logits"])
def test_a_loss_in_low_precision_is_rounded_once(name, dtype):
    """Where PyTorch on the CPU rounds each step; see op-plugin's tests of these losses."""
    x, target = values(40, 6, dtype=dtype), values(40, 6, seed=1).sigmoid().to(dtype)
    loss = with_gradients(lambda x: LOSSES[name](x, target.to(x), reduction="none"))
    step = torch.finfo(dtype).eps  # half of it, and half for the weights of with_gradients
    for got, want in zip(loss(x.npu()), loss(x.float()), strict=True):
        torch.testing.assert_close(got.cpu().float(), want, rtol=step, atol=step * 1e-2)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradient_of_a_divergence_by_its_target(reduction, log_target, dtype):
    target = values(4, 6, seed=1, dtype=dtype).softmax(-1)
    target = target.log() if log_target else target
    loss = with_gradients(lambda x, y: F.kl_div(x, y, reduction=reduction, log_target=log_target))
    assert_same(loss, values(4, 6, dtype=dtype).log_softmax(-1), target, scale=4)


def test_gradient_of_a_divergence_is_zero_where_its_target_is():
    # As torch's own was when it had an operator for it (_kl_div_target_backward).
    target = torch.tensor([0.0, 0.25, 0.75]).npu().requires_grad_()
    F.kl_div(torch.zeros(3).npu(), target, reduction="sum").backward()
    expected = torch.tensor([0.0, 0.25, 0.75]).log() + 1
    torch.testing.assert_close(target.grad.cpu(), expected.nan_to_num(neginf=0.0))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", CLASSES)
def test_loss_of_classes_and_its_gradient_equal_cpu(name, reduction):
    target = torch.tensor([0, 2, 4, 2, 1])
    loss = with_gradients(lambda x: CLASSES[name](x, target.to(x.device), reduction=reduction))
    assert_same(loss, values(5, 6))


def test_loss_of_the_classes_of_pixels():
    target = torch.randint(0, 4, (2, 5, 3), generator=torch.Generator().manual_seed(0))
    loss = with_gradients(lambda x: F.cross_entropy(x, target.to(x.device)))
    assert_same(loss, values(2, 4, 5, 3))
