# SPDX-License-Identifier: Apache-2.0
"""softmax_topk, permutation and unpermutation."""

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, u32
from rounding import assert_rounded, values

NAMES = {torch.bfloat16: "bfloat16_t", torch.float32: "float"}


def bits_of(chosen: torch.Tensor) -> torch.Tensor:
    """Pack booleans, the first in the lowest bit."""
    flat = torch.nn.functional.pad(chosen.flatten().int(), (0, -chosen.numel() % 8)).view(-1, 8)
    return (flat << torch.arange(8)).sum(-1).to(torch.uint8)


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


class Routed:
    """Tokens permuted to the experts [begin, end) of a rank."""

    def __init__(self, tokens: int, experts: int, begin: int, end: int) -> None:
        self.experts, self.begin, self.end = experts, begin, end
        self.chosen = values(tokens, experts, dtype=torch.float32, seed=3) > 0.3
        self.x = values(tokens, 32)
        self.rows = torch.zeros(tokens * experts, 32, dtype=torch.bfloat16)
        self.places = torch.zeros(experts * tokens + experts, dtype=torch.int32)
        self.counts = torch.full((experts,), 99, dtype=torch.int32)

    def attempt(self, kernels: Kernels, room: int | None = None) -> int:
        return kernels.attempt(
            "permutation",
            *(self.x, bits_of(self.chosen), self.rows, self.places, self.counts),
            *(u32(len(self.x)), u32(32), u32(room or len(self.rows)), *self.range()),
        )

    def range(self) -> tuple[u32, u32, u32]:
        return u32(self.experts), u32(self.begin), u32(self.end)


def test_rows_are_in_the_order_of_experts_then_of_tokens(kernels: Kernels) -> None:
    # given
    routed = Routed(7, 16, 4, 12)
    # when
    assert routed.attempt(kernels) == 0
    # then
    pairs = [(e, t) for e in range(4, 12) for t in range(7) if routed.chosen[t, e]]
    expected = routed.x[[t for _, t in pairs]]
    torch.testing.assert_close(routed.rows[: len(pairs)], expected, rtol=0, atol=0)
    counts = routed.chosen.sum(0).int()
    counts[:4] = counts[12:] = 0
    torch.testing.assert_close(routed.counts, counts, rtol=0, atol=0)
    assert routed.places[0] == len(pairs)


@pytest.mark.parametrize(("begin", "end"), [(0, 16), (4, 12)])
@pytest.mark.parametrize("dtype", NAMES)
def test_unpermutation_sums_the_weighted_rows_of_a_token(
    kernels: Kernels, dtype, begin: int, end: int
) -> None:
    # given
    routed = Routed(7, 16, begin, end)
    assert routed.attempt(kernels) == 0
    results = values(*routed.rows.shape, seed=5)
    weights = values(7, 16, dtype=dtype, seed=6)
    out = torch.zeros(7, 32, dtype=torch.bfloat16)
    # when
    kernels.run(
        f"unpermutation_{NAMES[dtype]}",
        *(results, bits_of(routed.chosen), out, routed.places, weights, u32(7), u32(32)),
        *routed.range(),
    )
    # then
    exact = torch.zeros(7, 32, dtype=torch.float64)
    pairs = [(e, t) for e in range(begin, end) for t in range(7) if routed.chosen[t, e]]
    for row, (expert, token) in enumerate(pairs):
        exact[token] += weights[token, expert].double() * results[row].double()
    assert_rounded(out, exact)


def test_more_rows_than_there_is_room_for_is_an_error(kernels: Kernels, acl: Acl) -> None:
    # given
    routed = Routed(7, 16, 0, 16)
    # when
    code = routed.attempt(kernels, room=3)
    # then
    assert code == 507015
    assert "max_expert_sorted, 3" in acl.message()
