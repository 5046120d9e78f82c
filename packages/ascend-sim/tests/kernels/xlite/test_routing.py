# SPDX-License-Identifier: Apache-2.0
"""permutation and unpermutation."""

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, u32
from rounding import assert_rounded, values
from routing_bits import bits_of

NAMES = {torch.bfloat16: "bfloat16_t", torch.float32: "float"}


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
