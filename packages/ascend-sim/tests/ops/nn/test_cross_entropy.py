# SPDX-License-Identifier: Apache-2.0
"""`npu_cross_entropy_loss` against its formula, and its gradient against autograd."""

import pytest
import torch
import torch_npu
from support.aclnn import refusal
from support.oracle import FLOATS, run_and_wait, values

REDUCTIONS = ["mean", "sum", "none"]
_LIMIT = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def _reference(x, target, weight, reduction, ignored, smoothing=0.0):
    """The formula of aclnnCrossEntropyLoss.md, in float64."""
    logs = x - x.exp().sum(-1, keepdim=True).log()
    weight = torch.ones(x.shape[1]) if weight is None else weight
    counted = (target != ignored).double()
    places = target.clamp(0, x.shape[1] - 1)
    shares = weight.double()[places] * counted
    rows = -logs[torch.arange(len(x)), places] * shares
    even = -(logs * weight).sum(1) * counted
    rows = (1 - smoothing) * rows + smoothing / x.shape[1] * even
    if reduction == "none":
        return rows, logs
    return (rows.sum() / (shares.sum() if reduction == "mean" else 1)).view(1), logs


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradient_follow_the_formula(dtype, reduction, weighted):
    x, target = values(6, 5, dtype=dtype), torch.tensor([0, 4, -100, 2, 2, 1])
    weight = torch.linspace(0.5, 2, 5) if weighted else None
    leaf, on_npu = x.double().requires_grad_(), x.npu().requires_grad_()
    expected, logs = _reference(leaf, target, weight, reduction, -100)
    by_row = torch.linspace(0.5, 1.5, expected.numel())
    (expected * by_row).sum().backward()
    loss, log_prob, *_ = torch_npu.npu_cross_entropy_loss(
        on_npu, target.npu(), None if weight is None else weight.npu(), reduction=reduction
    )
    (loss * by_row.npu().to(dtype)).sum().backward()
    limit = _LIMIT[dtype]
    for got, want in ((loss, expected), (log_prob, logs), (on_npu.grad, leaf.grad)):
        assert got.dtype == dtype
        torch.testing.assert_close(
            got.detach().cpu().double(), want.detach(), rtol=limit, atol=limit
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_labels_may_be_smoothed(reduction, weighted):
    x, target = values(6, 5), torch.tensor([0, 4, 3, 2, 2, 1])
    weight = torch.linspace(0.5, 2, 5) if weighted else None
    expected, _ = _reference(x.double(), target, weight, reduction, 3, smoothing=0.2)
    loss, *_ = torch_npu.npu_cross_entropy_loss(
        x.npu(),
        target.npu(),
        None if weight is None else weight.npu(),
        reduction=reduction,
        ignore_index=3,
        label_smoothing=0.2,
    )
    torch.testing.assert_close(loss.cpu().double(), expected, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_smoothed_labels_is_refused():
    """aclnnCrossEntropyLossGrad.md: only 0.0."""
    logs, target = values(3, 4).log_softmax(-1).npu(), torch.arange(3).npu()
    gradient = torch_npu.npu_cross_entropy_loss_backward
    with pytest.raises(RuntimeError, match="labelSmoothing must be 0, got"):
        run_and_wait(gradient, logs[:1, 0], logs, target, label_smoothing=0.1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"reduction": "median"}, "reduction must be 'none', 'mean' or 'sum', got 'median'"),
        ({"label_smoothing": 1.5}, "labelSmoothing must be from 0 to 1"),
        ({"lse_square_scale_for_zloss": 0.5}, "zloss is not supported: lseSquareScaleForZloss"),
        ({"return_zloss": True}, "zloss is not supported: returnZloss"),
    ],
    ids=str,
)
def test_options_that_are_not_taken(options, text):
    x, target = values(3, 4).npu(), torch.arange(3).npu()
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_cross_entropy_loss, x, target, **options)


@pytest.mark.parametrize(
    ("x", "target", "weight", "text"),
    [
        ((3, 4), (2,), None, "target must have 3 elements"),
        ((3, 4), (3,), (3,), "weight must have 4 elements"),
        ((3, 4, 5), (3,), None, r"input must be \[rows, classes\]"),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(x, target, weight, text):
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(
            torch_npu.npu_cross_entropy_loss,
            values(*x).npu(),
            torch.zeros(target, dtype=torch.int64).npu(),
            None if weight is None else values(*weight).npu(),
        )


def test_a_gradient_of_zloss_is_refused():
    logs, target, one = values(3, 4).npu(), torch.arange(3).npu(), values(1).npu()
    status, text = refusal(
        "aclnnCrossEntropyLossGrad",
        *(one, logs, target, None, one, None, b"mean", -100, 0.0, 0.0, torch.zeros_like(logs)),
    )
    assert status == 161002
    assert "zloss is not supported: gradZloss must be null" in text
