# SPDX-License-Identifier: Apache-2.0
"""Layers of experts choose as vLLM's own code does, and refuse what they would compute wrongly."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from ascend_core import OptionError
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.router.grouped_topk_router import grouped_topk

from ascend_vllm_plugin.ops import NpuExperts

EXPERTS, HIDDEN, INNER, TOKENS = 8, 32, 16, 9


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_layer(**changes: Any) -> Any:
    """Make what the method reads of vLLM's `RoutedExperts`."""
    config = {"activation": MoEActivation.SILU, "has_hash_routing": False, "has_bias": False}
    config |= {name: changes.pop(name) for name in tuple(changes) if name in config}
    layer = {
        "moe_config": SimpleNamespace(**config),
        "w13_weight": random(EXPERTS, 2 * INNER, HIDDEN, seed=1),
        "w2_weight": random(EXPERTS, HIDDEN, INNER, seed=2),
        "top_k": 2,
        "scoring_func": "softmax",
        "renormalize": True,
        "routed_scaling_factor": 1.0,
        "use_grouped_topk": False,
        "num_expert_group": None,
        "topk_group": None,
        "e_score_correction_bias": None,
        "custom_routing_function": None,
        "swiglu_limit": None,
        "apply_router_weight_on_input": False,
        "global_num_experts": EXPERTS,
        "expert_map": None,
    }
    return SimpleNamespace(**(layer | changes))


def apply(layer: Any, x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Apply a layer on the device, as vLLM does after it has loaded the weights."""
    method = object.__new__(NpuExperts)
    method.process_weights_after_loading(layer)
    tensors = {name: value for name, value in vars(layer).items() if torch.is_tensor(value)}
    moved = {name: tensor.npu() for name, tensor in tensors.items()}
    on_device = SimpleNamespace(**(vars(layer) | moved))
    return method.apply_monolithic(on_device, x.npu(), logits.npu()).cpu()


def mixed(
    layer: Any, x: torch.Tensor, weights: torch.Tensor, experts: torch.Tensor
) -> torch.Tensor:
    """Add up a token's experts one after the other."""
    rows = []
    for token, row_weights, row in zip(x, weights, experts, strict=True):
        results = []
        for weight, expert in zip(row_weights, row, strict=True):
            gate, up = (layer.w13_weight[expert] @ token).chunk(2)
            results.append(weight * (layer.w2_weight[expert] @ (F.silu(gate) * up)))
        rows.append(torch.stack(results).sum(0))
    return torch.stack(rows)


GROUPS = {"use_grouped_topk": True, "num_expert_group": 2, "topk_group": 1}


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"renormalize": False},
        {"top_k": 3, **GROUPS, "renormalize": False, "routed_scaling_factor": 2.5},
        {
            "top_k": 3,
            **GROUPS,
            "scoring_func": "sigmoid",
            "routed_scaling_factor": 2.5,
            "e_score_correction_bias": torch.linspace(0.3, -0.3, EXPERTS),
        },
    ],
    ids=["Mixtral", "Qwen2-MoE", "DeepSeek-V2", "DeepSeek-V3"],
)
def test_a_layer_chooses_and_computes_as_vllms_own_code(rule: dict[str, Any]) -> None:
    layer, x, logits = make_layer(**rule), random(TOKENS, HIDDEN), random(TOKENS, EXPERTS, seed=3)

    result = apply(layer, x, logits)

    weights, experts = grouped_topk(
        x,
        logits,
        layer.top_k,
        layer.renormalize,
        layer.num_expert_group or 1,
        layer.topk_group or 1,
        layer.scoring_func,
        layer.routed_scaling_factor,
        layer.e_score_correction_bias,
    )
    torch.testing.assert_close(result, mixed(layer, x, weights, experts), rtol=1e-4, atol=1e-4)


def test_a_rule_without_groups_leaves_the_factor_to_the_model() -> None:
    x, logits = random(TOKENS, HIDDEN), random(TOKENS, EXPERTS, seed=3)

    scaled = apply(make_layer(routed_scaling_factor=2.5), x, logits)

    torch.testing.assert_close(scaled, apply(make_layer(), x, logits))


def test_the_parts_of_two_devices_add_up() -> None:
    whole, x, logits = make_layer(), random(TOKENS, HIDDEN), random(TOKENS, EXPERTS, seed=3)
    parts = [
        apply(
            make_layer(
                w13_weight=whole.w13_weight[first : first + 4],
                w2_weight=whole.w2_weight[first : first + 4],
                expert_map=torch.tensor(
                    [e - first if first <= e < first + 4 else -1 for e in range(EXPERTS)]
                ),
            ),
            x,
            logits,
        )
        for first in (0, 4)
    ]
    torch.testing.assert_close(sum(parts), apply(whole, x, logits), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"activation": MoEActivation.GELU}, "the activation 'gelu'"),
        ({"scoring_func": "sqrtsoftplus"}, "chosen by 'sqrtsoftplus'"),
        ({"custom_routing_function": print}, "a rule of the model's own"),
        ({"has_hash_routing": True}, "by token id"),
        ({"has_bias": True}, "with biases"),
        ({"swiglu_limit": 7.0}, "clamp their gate"),
        ({"apply_router_weight_on_input": True}, "whose input is weighted"),
    ],
)
def test_experts_that_no_kernel_computes_are_refused_by_name(
    changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(OptionError, match=f"--model = .*{what}"):
        object.__new__(NpuExperts).create_weights(make_layer(**changes))
