# SPDX-License-Identifier: Apache-2.0
"""Random numbers: distributions, and the same seed giving the same numbers."""

import pytest
import torch
from support.aclnn import call, refusal
from support.oracle import FLOATS

SIZE = 20000


@pytest.mark.parametrize(
    ("draw", "mean", "deviation"),
    [
        (lambda t: t.uniform_(1, 3), 2.0, 0.577),
        (lambda t: t.normal_(3, 2), 3.0, 2.0),
        (lambda t: t.exponential_(2.0), 0.5, 0.5),
        (lambda t: t.bernoulli_(0.3), 0.3, 0.458),
        (lambda t: t.random_(0, 10), 4.5, 2.87),
        (lambda t: torch.randn_like(t), 0.0, 1.0),
        (lambda t: torch.rand_like(t), 0.5, 0.289),
        (lambda t: torch.bernoulli(t.fill_(0.5)), 0.5, 0.5),
        (lambda t: torch.normal(t.zero_(), 2.0), 0.0, 2.0),
    ],
)
def test_distribution_has_its_mean_and_deviation(draw, mean, deviation):
    torch.npu.manual_seed(0)
    numbers = draw(torch.empty(SIZE, device="npu")).cpu()
    assert numbers.mean().item() == pytest.approx(mean, abs=0.06)
    assert numbers.std().item() == pytest.approx(deviation, rel=0.04)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.randn(50, device="npu"),
        lambda: torch.randperm(50, device="npu"),
        lambda: torch.randint(0, 1000, (50,), device="npu"),
        lambda: torch.multinomial(torch.ones(3, 50, device="npu"), 20),
    ],
)
def test_a_seed_fixes_the_numbers_and_the_next_call_differs(draw):
    torch.npu.manual_seed(7)
    first, second = draw().cpu(), draw().cpu()
    torch.npu.manual_seed(7)
    assert torch.equal(draw().cpu(), first)
    assert not torch.equal(first, second)


def test_permutation_and_multinomial_draw_without_replacement():
    assert torch.equal(torch.randperm(100, device="npu").cpu().sort().values, torch.arange(100))
    rows = torch.multinomial(torch.ones(4, 10, device="npu"), 10).cpu()
    assert torch.equal(rows.sort().values, torch.arange(10).expand(4, 10))


def test_generators_are_independent():
    one, two = torch.Generator("npu").manual_seed(1), torch.Generator("npu").manual_seed(2)
    assert not torch.equal(
        *(torch.empty(50, device="npu").uniform_(generator=g).cpu() for g in (one, two))
    )


@pytest.mark.parametrize(
    ("draw", "mean", "deviation"),
    [
        (lambda t: t.random_(), 2**23, 2**24 / 12**0.5),
        (lambda t: torch.normal(3.0, 2.0, (SIZE,), device="npu"), 3.0, 2.0),
        (lambda t: torch.normal(3.0, t.fill_(2.0)), 3.0, 2.0),
        (lambda t: torch.normal(t.fill_(3.0), t + 2.0), 3.0, 5.0),
    ],
)
def test_rarer_distribution_has_its_mean_and_deviation(draw, mean, deviation):
    torch.npu.manual_seed(0)
    numbers = draw(torch.empty(SIZE, device="npu")).cpu()
    assert numbers.mean().item() == pytest.approx(mean, rel=0.04)
    assert numbers.std().item() == pytest.approx(deviation, rel=0.04)


@pytest.mark.parametrize(
    ("draw", "mean", "deviation"),
    [
        (lambda t: t.uniform_(1, 3), 2.0, 0.577),
        (lambda t: t.normal_(3, 2), 3.0, 2.0),
        (lambda t: t.random_(0, 10), 4.5, 2.87),
        (lambda t: t.random_(), 2**23, 2**24 / 12**0.5),
        (lambda t: t.copy_(torch.multinomial(torch.ones_like(t), SIZE)), 9999.5, 5773.6),
    ],
)
def test_a_graph_draws_from_its_distribution_and_anew_in_each_replay(draw, mean, deviation):
    """In a graph the seed and the offset are tensors, which a replay reads."""
    torch.npu.manual_seed(0)
    numbers = torch.empty(SIZE, device="npu")
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        draw(numbers)
    graph.replay()
    first = numbers.cpu()
    graph.replay()
    second = numbers.cpu()
    assert not torch.equal(first, second)
    for drawn in (first, second):
        assert drawn.mean().item() == pytest.approx(mean, rel=0.04)
        assert drawn.std().item() == pytest.approx(deviation, rel=0.04)


@pytest.mark.parametrize("late", [False, True], ids=["numbers", "tensors"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_950_draws_exponential_numbers_by_operators_of_its_own(dtype, late):
    """Given seed and offset by value or, for graphs, in tensors, the numbers are the same."""

    def draw(seed, rate):
        numbers = torch.zeros(SIZE, dtype=dtype).npu()
        if late:
            where = (torch.tensor([seed]).npu(), torch.tensor([4]).npu(), 6)
            call("aclnnStatelessExponentialTensor", numbers, *where, rate)
        else:
            call("aclnnSimThreadExponential", numbers, SIZE, rate, seed, 10)
        return numbers.float().cpu()

    numbers = draw(3, 2.0)
    assert (numbers > 0).all()
    assert numbers.mean().item() == pytest.approx(0.5, rel=0.04)
    assert numbers.std().item() == pytest.approx(0.5, rel=0.04)
    median = numbers.median().item()
    assert median == pytest.approx(0.693 / 2, rel=0.05)
    assert torch.equal(draw(3, 2.0), numbers)
    assert not torch.equal(draw(4, 2.0), numbers)


@pytest.mark.parametrize(
    ("count", "rate", "text"),
    [(7, 1.0, "count must be 8, the elements of self, got 7"), (8, 0.0, "lambda must be positive")],
)
def test_950_refuses_what_makes_no_exponential_numbers(count, rate, text):
    status, message = refusal("aclnnSimThreadExponential", torch.zeros(8).npu(), count, rate, 0, 0)
    assert status == 161002
    assert text in message
