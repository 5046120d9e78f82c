# SPDX-License-Identifier: Apache-2.0
"""CTC against the sum over all paths, and against torch's own on the CPU."""

import itertools

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.aclnn import call
from support.oracle import run_and_wait, values

_LIMIT = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}


def _collapsed(path, blank):
    """A path without what repeats and without blanks."""
    return [label for label, _ in itertools.groupby(path) if label != blank]


def _by_paths(logits, targets, input_lengths, target_lengths, blank=0):
    """The losses by their definition: all paths that collapse to the target."""
    probabilities = logits.softmax(-1)
    losses = []
    for i, (time, length) in enumerate(zip(input_lengths, target_lengths, strict=True)):
        wanted = targets[i][:length].tolist()
        classes = range(logits.shape[-1])
        paths = [
            p for p in itertools.product(classes, repeat=time) if _collapsed(p, blank) == wanted
        ]
        total = sum(
            (torch.stack([probabilities[t, i, label] for t, label in enumerate(p)]).prod())
            for p in paths
        )
        losses.append(-torch.log(torch.as_tensor(total, dtype=logits.dtype)))
    return torch.stack(losses)


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("lengths", [([4, 4], [2, 1]), ([4, 3], [2, 2]), ([2, 1], [1, 1])], ids=str)
def test_a_loss_is_that_of_all_paths(lengths, blank):
    labels = [label for label in range(3) if label != blank]
    targets = torch.tensor([[labels[0], labels[0]], [labels[1], labels[0]]])
    logits = values(4, 2, 3)
    leaf, on_npu = logits.double().requires_grad_(), logits.npu().requires_grad_()
    expected = _by_paths(leaf, targets, *lengths, blank)
    weights = torch.tensor([1.0, -2.0])
    (expected * weights).sum().backward()
    actual = F.ctc_loss(
        on_npu.log_softmax(-1), targets.npu(), *lengths, blank=blank, reduction="none"
    )
    (actual * weights.npu()).sum().backward()
    torch.testing.assert_close(
        actual.detach().cpu().double(), expected.detach(), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(on_npu.grad.cpu().double(), leaf.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "reduction"),
    [(torch.float32, "mean"), *itertools.product(_LIMIT, ["sum", "none"])],  # no mean of halves
    ids=str,
)
@pytest.mark.parametrize("flat", [False, True], ids=["padded targets", "one after the other"])
def test_longer_sequences_equal_cpu(dtype, flat, reduction):
    input_lengths, target_lengths = [12, 9, 10], [4, 3, 1]
    logits = values(12, 3, 6, dtype=dtype)
    targets = torch.randint(1, 6, (3, 5), generator=torch.Generator().manual_seed(0))
    targets[1, 3:] = -7  # what lies beyond a target is not read
    if flat:
        rows = zip(targets, target_lengths, strict=True)
        targets = torch.cat([row[:length] for row, length in rows])

    def run(logits, targets):
        leaf = logits.detach().requires_grad_()
        loss = F.ctc_loss(
            leaf.log_softmax(-1), targets, input_lengths, target_lengths, reduction=reduction
        )
        loss.sum().backward()
        return loss.detach().cpu().float(), leaf.grad.cpu().float()

    for got, want in zip(
        run(logits.npu(), targets.npu()), run(logits.float(), targets), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=_LIMIT[dtype], atol=_LIMIT[dtype])


@pytest.mark.parametrize("zero_infinity", [True, False])
def test_a_target_that_does_not_fit_costs_infinity_or_nothing(zero_infinity):
    logits, targets = values(3, 2, 4), torch.tensor([[1, 1, 1], [2, 3, 1]])
    on_npu = logits.npu().requires_grad_()
    loss = F.ctc_loss(
        on_npu.log_softmax(-1), targets.npu(), [3, 3], [3, 2], reduction="none",
        zero_infinity=zero_infinity,
    )  # fmt: skip
    assert loss[0].item() == (0 if zero_infinity else float("inf"))
    if zero_infinity:
        loss.sum().backward()
        leaf = logits.double().requires_grad_()
        _by_paths(leaf[:, 1:], targets[1:], [3], [2]).sum().backward()
        torch.testing.assert_close(on_npu.grad.cpu().double(), leaf.grad, rtol=1e-5, atol=1e-5)


def test_the_operator_takes_one_sequence_and_integers_of_any_kind():
    logits, targets = values(4, 3), torch.tensor([[1, 2]], dtype=torch.int32)
    loss, alpha = torch.zeros((), device="npu"), torch.zeros(1, 4, 8, device="npu")
    logs = logits.log_softmax(-1).npu()
    call("aclnnCtcLoss", logs, targets.npu(), [4], [2], 0, False, loss, alpha)
    expected = _by_paths(logits[:, None].double(), targets, [4], [2])
    torch.testing.assert_close(loss.cpu().double(), expected[0], rtol=1e-5, atol=1e-5)
    end = alpha[0, 3, 3:5].cpu().double().logsumexp(0)  # the last label, and the blank after it
    torch.testing.assert_close(end, -expected[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("targets", "input_lengths", "target_lengths", "blank", "text"),
    [
        ((2, 3), [4], [2, 2], 0, "inputLengths must have 2 elements"),
        ((2, 3), [4, 5], [2, 2], 0, "inputLengths must be from 0 to 4, got 5"),
        ((2, 3), [4, 4], [2, 4], 0, "targetLengths must be from 0 to 3, got 4"),
        ((3, 3), [4, 4], [2, 2], 0, "targets must have 2 rows, got 3"),
        ((5,), [4, 4], [2, 2], 0, "targets must have the 4 elements"),
        ((2, 3), [4, 4], [2, 2], 6, "blank must be from 0 to 5, got 6"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(targets, input_lengths, target_lengths, blank, text):
    """aclnnCtcLoss.md, return values."""
    logs = values(4, 2, 6).log_softmax(-1).npu()
    labels = torch.ones(targets, dtype=torch.int64).npu()
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch._ctc_loss, logs, labels, input_lengths, target_lengths, blank)
