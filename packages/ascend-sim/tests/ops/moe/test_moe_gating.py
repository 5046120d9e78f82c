# SPDX-License-Identifier: Apache-2.0
"""Gating of a mixture of experts against the formulas of torch_npu's documentation."""

import math

import pytest
import torch
import torch_npu
from support.oracle import FLOATS, run_and_wait, values


def _gate_logits(*shape, dtype=torch.float32, seed=0):
    """Scores without ties: a permutation of distinct numbers in every row."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.stack(
        [torch.randperm(shape[-1], generator=generator) for _ in range(math.prod(shape[:-1]))]
    )
    return (rows.view(shape) / 16 - 2).to(dtype)


def _top_k(scores, k):
    return torch.topk(scores, k, dim=-1)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 64)], ids=str)
def test_softmax_gate_takes_the_k_largest(shape, dtype):
    x = _gate_logits(*shape, dtype=dtype)
    y, experts, rows = torch_npu.npu_moe_gating_top_k_softmax(x.npu(), None, 2)
    weights, expected = _top_k(x.float().softmax(-1), 2)
    assert torch.equal(experts.cpu(), expected.int())
    torch.testing.assert_close(y.cpu(), weights.to(dtype), rtol=1e-2, atol=1e-3)
    count = x.numel() // shape[-1]
    numbered = torch.arange(2 * count, dtype=torch.int32).view(2, count).t()
    assert torch.equal(rows.cpu(), numbered.reshape(*shape[:-1], 2))


def test_the_first_of_equal_experts_wins():
    x = torch.zeros(2, 8)
    _, experts, _ = torch_npu.npu_moe_gating_top_k_softmax(x.npu(), None, 3)
    assert experts.tolist() == [[0, 1, 2]] * 2


def test_finished_rows_go_to_an_expert_that_there_is_not():
    x, finished = _gate_logits(3, 8), torch.tensor([False, True, False])
    _, experts, _ = torch_npu.npu_moe_gating_top_k_softmax(x.npu(), finished.npu(), 2)
    expected = _top_k(x, 2).indices.masked_fill(finished.unsqueeze(1), 8)
    assert torch.equal(experts.cpu(), expected.int())


@pytest.mark.parametrize("renorm", [0, 1])
def test_softmax_gate_v2_normalizes_before_or_after_the_choice(renorm):
    x = _gate_logits(4, 16)
    y, experts, softmax = torch_npu.npu_moe_gating_top_k_softmax_v2(
        x.npu(), k=4, renorm=renorm, output_softmax=True
    )
    if renorm:
        largest, expected = _top_k(x, 4)
        weights = largest.softmax(-1)
        assert softmax.numel() == 0
    else:
        weights, expected = _top_k(x.softmax(-1), 4)
        torch.testing.assert_close(softmax.cpu(), x.softmax(-1))
    assert torch.equal(experts.cpu(), expected.int())
    torch.testing.assert_close(y.cpu(), weights)


def _grouped_top_k(x, k, bias, groups, k_group, mode, sigmoid, factor):
    """DeepSeek's choice: the best groups first, then the best experts of these."""
    scores = x.float().sigmoid() if sigmoid else x.float().softmax(-1)
    ranked = (scores + bias).view(len(x), groups, -1)
    of_group = ranked.amax(-1) if mode == 0 else ranked.topk(2, -1).values.sum(-1)
    best = torch.zeros(len(x), groups, dtype=torch.bool)
    best.scatter_(1, of_group.topk(k_group, -1).indices, True)
    experts = ranked.masked_fill(~best.unsqueeze(-1), -torch.inf).flatten(1).topk(k, -1).indices
    weights = scores.gather(1, experts)
    if sigmoid:
        weights = weights / weights.sum(-1, keepdim=True)
    return weights * factor, experts, scores


@pytest.mark.parametrize("sigmoid", [True, False], ids=["sigmoid", "softmax"])
@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(("groups", "k_group"), [(1, 1), (8, 4), (8, 8)])
def test_grouped_gate_chooses_groups_then_experts(groups, k_group, mode, sigmoid):
    x, bias = values(6, 64), values(64, seed=1) / 8
    y, experts, norm = torch_npu.npu_moe_gating_top_k(
        x.npu(),
        k=6,
        bias=bias.npu(),
        k_group=k_group,
        group_count=groups,
        group_select_mode=mode,
        norm_type=int(sigmoid),
        out_flag=True,
        routed_scaling_factor=2.5,
    )
    weights, expected, scores = _grouped_top_k(x, 6, bias, groups, k_group, mode, sigmoid, 2.5)
    assert torch.equal(experts.cpu(), expected.int())
    torch.testing.assert_close(y.cpu(), weights)
    torch.testing.assert_close(norm.cpu(), scores)


def test_the_bias_chooses_but_does_not_weigh():
    x, bias = torch.zeros(1, 8), torch.zeros(8)
    bias[5] = 10
    y, experts, _ = torch_npu.npu_moe_gating_top_k(x.npu(), k=1, bias=bias.npu(), norm_type=0)
    assert experts.item() == 5
    assert y.item() == pytest.approx(1 / 8)


@pytest.mark.parametrize(
    ("experts", "arguments", "text"),
    [
        (4096, {"k": 1}, "at most 2048 experts"),
        (8, {"k": 1, "group_count": 4}, "more than 2 experts"),
        (256, {"k": 1, "group_count": 85}, "must divide the number of experts"),
        (320, {"k": 1, "group_count": 80}, "aligned to 32"),
        (64, {"k": 17, "group_count": 4, "k_group": 1}, "k must be from 1 to the 16"),
        (64, {"k": 1, "group_count": 4, "k_group": 5}, "kGroup must be from 1 to groupCount"),
        (64, {"k": 1, "renorm": 1}, "renorm must be 0"),
        (64, {"k": 1, "norm_type": 2}, "normType must be"),
    ],
)
def test_grouped_gate_refuses(experts, arguments, text):
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_moe_gating_top_k, values(2, experts).npu(), **arguments)


def test_softmax_gate_takes_at_most_1024_of_them():
    with pytest.raises(RuntimeError, match="k must be at most 1024"):
        run_and_wait(torch_npu.npu_moe_gating_top_k_softmax, values(1, 1100).npu(), None, 1025)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("k", [1, 3, 8])
def test_gradient_of_the_weights_of_the_sigmoid_gate(dtype, k):
    logits, grad = _gate_logits(5, 8), values(5, k, dtype=dtype)
    leaf = logits.double().requires_grad_()
    scores = leaf.sigmoid()
    chosen, experts = _top_k(scores, k)
    weights = 2.5 * chosen / (chosen.sum(-1, keepdim=True) + 1e-20)
    (weights * grad).sum().backward()
    actual = torch_npu.npu_moe_gating_top_k_backward(
        logits.sigmoid().npu(),
        grad.npu(),
        experts.int().npu(),
        norm_type=1,
        routed_scaling_factor=2.5,
    )
    limit = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}[dtype]
    torch.testing.assert_close(actual.cpu().double(), leaf.grad, rtol=limit, atol=limit)
    assert actual.dtype == dtype


@pytest.mark.parametrize(
    ("experts", "k", "norm_type", "text"),
    [
        (8, 2, 0, "normType must be 1"),
        (1, 1, 1, "must have 2 to 2048 experts, got 1"),
        (4, 5, 1, "must have 1 to 4 columns, got 5"),
    ],
)
def test_limits_of_the_gradient_of_the_gate(experts, k, norm_type, text):
    """aclnnMoeGatingTopKBackward.md."""
    scores, grad = values(3, experts).npu(), values(3, k).npu()
    places = torch.zeros(3, k, dtype=torch.int32).npu()
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(
            torch_npu.npu_moe_gating_top_k_backward, scores, grad, places, norm_type=norm_type
        )
