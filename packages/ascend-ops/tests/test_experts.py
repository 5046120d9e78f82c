# SPDX-License-Identifier: Apache-2.0
"""apply_experts gives what the formula gives, one token and one expert at a time."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

import ascend_ops

TOKENS, HIDDEN, INNER = 11, 32, 48
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


class Mixture:
    """Random experts, and tokens that chose some of them."""

    def __init__(self, experts, top_k, dtype=torch.float32):
        random = torch.Generator().manual_seed(experts)
        draw = lambda *shape: torch.randn(*shape, generator=random)  # noqa: E731
        self.x = draw(TOKENS, HIDDEN).to(dtype)
        self.gate_up = (draw(experts, 2 * INNER, HIDDEN) * HIDDEN**-0.5).to(dtype)
        self.down = (draw(experts, HIDDEN, INNER) * INNER**-0.5).to(dtype)
        self.weights = draw(TOKENS, top_k).softmax(-1)
        order = [torch.randperm(experts, generator=random)[:top_k] for _ in range(TOKENS)]
        self.experts = torch.stack(order).int()

    def expected(self, held=None):
        """In float64, from the formula; experts that are not held add nothing."""
        held = range(len(self.gate_up)) if held is None else held
        total = torch.zeros(TOKENS, HIDDEN, dtype=torch.float64)
        for token in range(TOKENS):
            for weight, expert in zip(self.weights[token], self.experts[token], strict=True):
                if int(expert) not in held:
                    continue
                both = self.gate_up[expert].double() @ self.x[token].double()
                gate, up = both[:INNER], both[INNER:]
                gated = gate / (1 + torch.exp(-gate)) * up
                total[token] += weight * (self.down[expert].double() @ gated)
        return total

    def apply(self, device, **changes):
        names = ("x", "gate_up", "down", "weights", "experts")
        tensors = {name: changes.pop(name, getattr(self, name)) for name in names}
        moved = {name: tensor.to(device) for name, tensor in tensors.items()}
        return ascend_ops.apply_experts(**moved, **changes)


def assert_near(result, expected, dtype):
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(
        result.cpu(), expected.to(dtype), rtol=tolerance, atol=tolerance
    )  # fmt: skip


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("experts", "top_k"), [(8, 2), (128, 8)])
def test_the_results_of_a_tokens_experts_are_added_by_weight(experts, top_k, dtype, device):
    mixture = Mixture(experts, top_k, dtype)

    result = mixture.apply(device)

    assert result.dtype == dtype
    assert_near(result, mixture.expected(), dtype)


def test_experts_in_another_order_are_noticed(device):
    mixture = Mixture(8, 2)

    result = mixture.apply(device, experts=(mixture.experts + 1) % 8)

    assert (result.cpu() - mixture.expected()).norm() > 0.1 * mixture.expected().norm()


@pytest.mark.parametrize("held", [range(2), range(2, 6), range(6, 8)])
def test_experts_of_other_devices_add_nothing(held, device):
    mixture = Mixture(8, 2)
    part = slice(held.start, held.stop)

    result = mixture.apply(
        device,
        gate_up=mixture.gate_up[part],
        down=mixture.down[part],
        first_expert=held.start,
        num_experts=8,
    )

    assert_near(result, mixture.expected(held), torch.float32)


def test_a_device_whose_experts_nobody_chose_adds_nothing(device):
    mixture = Mixture(8, 2)
    mixture.experts = mixture.experts % 2

    result = mixture.apply(
        device, gate_up=mixture.gate_up[4:], down=mixture.down[4:], first_expert=4, num_experts=8
    )

    assert torch.equal(result.cpu(), torch.zeros(TOKENS, HIDDEN))


@pytest.mark.npu
def test_replay_follows_the_choice_of_the_moment(npu):
    # Given a graph captured with one choice
    mixture = Mixture(8, 2)
    names = ("x", "gate_up", "down", "weights", "experts")
    buffers = {name: getattr(mixture, name).to(npu) for name in names}
    ascend_ops.apply_experts(**buffers)  # warm-up: nothing is initialized during the capture
    torch.npu.synchronize()
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        result = ascend_ops.apply_experts(**buffers)

    # When all tokens choose the same experts, so that other experts have other numbers of rows
    mixture.experts = torch.tensor([[6, 1]] * TOKENS).int()
    buffers["experts"].copy_(mixture.experts)
    graph.replay()

    # Then the replay follows
    assert_near(result, mixture.expected(), torch.float32)


def test_fake_tensors_pass_through_without_data():
    mixture = Mixture(8, 2, torch.bfloat16)
    with FakeTensorMode() as mode:
        weights, experts = ascend_ops.choose_experts(mode.from_tensor(torch.zeros(TOKENS, 8)), 2)
        result = ascend_ops.apply_experts(
            mode.from_tensor(mixture.x),
            mode.from_tensor(mixture.gate_up),
            mode.from_tensor(mixture.down),
            weights,
            experts,
        )

    assert (result.shape, result.dtype) == ((TOKENS, HIDDEN), torch.bfloat16)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": torch.zeros(TOKENS, HIDDEN, 1)}, "x must be torch.float32 of 2 dimensions"),
        ({"down": torch.zeros(8, HIDDEN, INNER).half()}, "down must be torch.float32"),
        ({"gate_up": torch.zeros(8, INNER, HIDDEN)}, "gate_up and down do not fit x of 32"),
        ({"experts": torch.zeros(TOKENS, 2).long()}, "experts must be int32, not torch.int64"),
        ({"experts": torch.zeros(TOKENS, 3).int()}, r"experts and weights must be \[11 tokens"),
        ({"first_expert": 4, "num_experts": 8}, "experts 4 to 12 of 8 experts"),
        ({"first_expert": -1}, "experts -1 to 7 of 7 experts"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, text):
    with pytest.raises(ascend_ops.OperatorArgumentError, match=text):
        Mixture(8, 2).apply("cpu", **changes)


def test_an_expert_that_there_is_not_is_refused_on_the_cpu():
    with pytest.raises(ascend_ops.OperatorArgumentError, match="experts must be from 0 to 7"):
        Mixture(8, 2).apply("cpu", experts=torch.full((TOKENS, 2), 8).int())
