# SPDX-License-Identifier: Apache-2.0
"""choose_experts follows the rules of the models that have experts, one token at a time."""

import math

import pytest
import torch

import ascend_ops

TOKENS, EXPERTS = 13, 16


def random_logits(experts=EXPERTS, seed=0):
    return torch.randn(TOKENS, experts, generator=torch.Generator().manual_seed(seed)) * 2


def scores_of(row, scoring):
    if scoring == "sigmoid":
        return [1 / (1 + math.exp(-value)) for value in row]
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def expected(logits, top_k, scoring, renormalize, scale, groups, top_groups, best, bias):
    """By Python's own floats: weights and experts of every token."""
    weights, experts = [], []
    for row in logits.tolist():
        scores = scores_of(row, scoring)
        ranked = [score + (bias[e] if bias else 0) for e, score in enumerate(scores)]
        size = len(row) // groups
        members = [range(group * size, (group + 1) * size) for group in range(groups)]
        worth = [sum(sorted((ranked[e] for e in group), reverse=True)[:best]) for group in members]
        kept = sorted(range(groups), key=lambda group: -worth[group])[:top_groups]
        open_to_choice = [e for group in kept for e in members[group]]
        chosen = sorted(open_to_choice, key=lambda e: (-ranked[e], e))[:top_k]
        sum_of_chosen = sum(scores[e] for e in chosen) if renormalize else 1
        experts.append(chosen)
        weights.append([scores[e] / sum_of_chosen * scale for e in chosen])
    return weights, experts


RULES = {
    "Qwen2-MoE": {"top_k": 4, "renormalize": False},
    "Qwen3-MoE": {"top_k": 8},
    "Mixtral": {"top_k": 2},
    "DeepSeek-V2": {
        "top_k": 3, "renormalize": False, "scale": 2.5, "groups": 4, "top_groups": 2,
    },
    "DeepSeek-V3": {
        "top_k": 4, "scoring": "sigmoid", "scale": 2.5, "groups": 4, "top_groups": 2,
        "best_of_group": 2, "bias": True,
    },
    "sigmoids as they are": {"top_k": 2, "scoring": "sigmoid", "renormalize": False, "scale": 3.0},
    "renormalized and scaled": {"top_k": 2, "scale": 3.0},
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_chooses_as_its_model(rule, device):
    options = {"scoring": "softmax", "renormalize": True, "scale": 1.0, "groups": 1}
    options |= {"top_groups": 1, "best_of_group": 1, **RULES[rule]}
    biases = torch.linspace(-0.5, 0.5, EXPERTS) if options.pop("bias", False) else None
    logits = random_logits()

    weights, experts = ascend_ops.choose_experts(
        logits.to(device), **options, bias=None if biases is None else biases.to(device)
    )

    wanted_weights, wanted_experts = expected(
        logits,
        options["top_k"],
        options["scoring"],
        options["renormalize"],
        options["scale"],
        options["groups"],
        options["top_groups"],
        options["best_of_group"],
        None if biases is None else biases.tolist(),
    )
    assert experts.tolist() == wanted_experts
    torch.testing.assert_close(weights.cpu(), torch.tensor(wanted_weights))


def test_weights_are_float32_whatever_the_logits_are(device):
    logits = random_logits().to(device, torch.bfloat16)

    weights, experts = ascend_ops.choose_experts(logits, 2)

    assert (weights.dtype, experts.dtype) == (torch.float32, torch.int32)
    torch.testing.assert_close(weights.sum(-1).cpu(), torch.ones(TOKENS))


def test_of_equal_experts_the_first_are_chosen(device):
    _, experts = ascend_ops.choose_experts(torch.zeros(2, EXPERTS, device=device), 3)

    assert experts.tolist() == [[0, 1, 2]] * 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"logits": torch.zeros(2, 3, 4)}, r"floating-point matrix, not .* \(2, 3, 4\)"),
        ({"logits": torch.zeros(2, 4).int()}, "floating-point matrix, not torch.int32"),
        ({"top_k": 0}, "top_k = 0 of 16 experts"),
        ({"top_k": 9, "groups": 4, "top_groups": 2}, "top_k = 9 of 8 experts"),
        ({"groups": 3}, "groups = 3 does not divide 16 experts"),
        ({"groups": 4, "top_groups": 5}, "top_groups = 5 of 4 groups"),
        ({"best_of_group": 3}, "best_of_group must be 1 or 2, not 3"),
        ({"scoring": "relu"}, r"scoring must be one of .*, not 'relu'"),
        ({"bias": torch.zeros(4)}, r"bias must have shape \(16,\), not \(4,\)"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, text):
    arguments = {"logits": random_logits(), "top_k": 2, **changes}
    with pytest.raises(ascend_ops.OperatorArgumentError, match=text):
        ascend_ops.choose_experts(**arguments)
