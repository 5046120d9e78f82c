# SPDX-License-Identifier: Apache-2.0
"""softmax_topk and sigmoid_topk."""

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, f32, u32
from rounding import assert_rounded, values
from routing_bits import bits_of

NAMES = {torch.bfloat16: "bfloat16_t", torch.float32: "float"}


def scores_of(tokens: int, experts: int, dtype: torch.dtype) -> torch.Tensor:
    """Return scores of which no two in a row are equal."""
    order = torch.stack(
        [torch.randperm(experts, generator=torch.Generator().manual_seed(i)) for i in range(tokens)]
    )
    return ((order - experts / 2) / 32).to(dtype)


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("renormalize", [False, True])
def test_the_greatest_weights_and_their_bits(kernels: Kernels, dtype, *, renormalize: bool) -> None:
    # given
    scores = scores_of(5, 128, dtype)
    weights, bits = torch.ones(5, 128, dtype=dtype), torch.full((80,), 255, dtype=torch.uint8)
    # when
    kernels.run(
        f"softmax_topk_{NAMES[dtype]}",
        scores,
        None,
        weights,
        bits,
        u32(5),
        u32(128),
        u32(8),
        renormalize,
    )
    # then
    softmax = scores.double().softmax(-1)
    top = softmax.topk(8, -1)
    exact = torch.zeros_like(softmax)
    total = top.values.sum(-1, keepdim=True) if renormalize else 1.0
    exact.scatter_(1, top.indices, top.values / total)
    assert_rounded(weights, exact)
    torch.testing.assert_close(bits, bits_of(exact > 0))


def test_a_device_sorts_128_experts(kernels: Kernels, acl: Acl) -> None:
    # given
    scores, bits = scores_of(1, 64, torch.float32), torch.zeros(8, dtype=torch.uint8)
    # when
    code = kernels.attempt(
        "softmax_topk_float", scores, None, scores, bits, u32(1), u32(64), u32(8), True
    )
    # then
    assert code == 161002
    assert "numRoutedExperts must be 128" in acl.message()


@pytest.mark.device_limits("off")
def test_without_limits_rows_of_bits_need_not_be_whole_bytes(kernels: Kernels) -> None:
    # given
    scores = scores_of(5, 60, torch.float32)
    weights, bits = torch.zeros(5, 60), torch.zeros(38, dtype=torch.uint8)
    # when
    kernels.run("softmax_topk_float", scores, None, weights, bits, u32(5), u32(60), u32(4), False)
    # then
    assert (weights > 0).sum(-1).tolist() == [4] * 5
    torch.testing.assert_close(bits, bits_of(weights > 0))


def choose(scores, bias, top, *, groups=1, chosen=1, renormalize=True, scale=1.0):
    """Return exact weights of the experts with the greatest sigmoid plus bias, zeros elsewhere."""
    weights = scores.double().sigmoid()
    grouped = (weights + bias.double()).unflatten(-1, (groups, -1))
    best = grouped.topk(2).values.sum(-1).topk(chosen).indices
    allowed = torch.zeros(grouped.shape[:2], dtype=torch.bool).scatter_(1, best, True)
    order = grouped.masked_fill(~allowed[..., None], -torch.inf).flatten(1).topk(top).indices
    kept = torch.zeros_like(weights).scatter_(1, order, weights.gather(1, order))
    return kept / (kept.sum(-1, keepdim=True) if renormalize else 1) * scale


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("renormalize", [False, True])
@pytest.mark.parametrize(
    ("experts", "groups", "chosen"), [(128, 1, 1), (160, 1, 1), (256, 8, 4), (128, 2, 2)]
)
def test_the_greatest_sigmoids_with_a_bias_are_chosen_and_weighted_without_it(
    kernels: Kernels, dtype, experts: int, groups: int, chosen: int, *, renormalize: bool
) -> None:
    # given a bias that changes the choice
    scores = scores_of(5, experts, dtype)
    bias = values(experts, dtype=torch.float32, seed=9) * 0.3
    weights = torch.ones(5, experts, dtype=dtype)
    bits = torch.full((5 * experts // 8,), 255, dtype=torch.uint8)
    # when
    kernels.run(
        f"sigmoid_topk_{NAMES[dtype]}",
        *(scores, None, bias, f32(2.5), weights, bits, u32(5), u32(experts)),
        *(u32(groups), u32(chosen), u32(8), renormalize),
    )
    # then
    options = {"groups": groups, "chosen": chosen, "renormalize": renormalize}
    exact = choose(scores, bias, 8, scale=2.5, **options)
    assert_rounded(weights, exact)
    assert torch.equal(bits, bits_of(exact > 0))
    assert not torch.equal(exact > 0, choose(scores, torch.zeros(experts), 8, **options) > 0)


@pytest.mark.parametrize(
    ("experts", "groups", "chosen", "top", "why"),
    [
        (96, 1, 1, 4, "128 experts"),
        (256, 16, 8, 4, "a multiple of 32"),
        (256, 8, 2, 4, "128 experts"),
        (256, 3, 1, 4, "nGroup must divide"),
        (256, 2, 3, 4, "nTopkGroup must be from 1 to nGroup"),
        (256, 8, 4, 200, "topK must be at most"),
    ],
)
def test_sigmoid_topk_refuses_what_a_device_does_not_sort(
    kernels: Kernels, acl: Acl, experts: int, groups: int, chosen: int, top: int, why: str
) -> None:
    # given
    scores, bits = scores_of(1, experts, torch.float32), torch.zeros(32, dtype=torch.uint8)
    # when
    code = kernels.attempt(
        "sigmoid_topk_float",
        *(scores, None, scores.flatten(), f32(1), scores, bits, u32(1), u32(experts)),
        *(u32(groups), u32(chosen), u32(top), True),
    )
    # then
    assert code == 161002
    assert why in acl.message()
