# SPDX-License-Identifier: Apache-2.0
"""Experts of a mixture, and the choice among them."""

from typing import Any

import torch
from ascend_ops import apply_experts, choose_experts
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.routed_experts import RoutedExperts
from vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method import (
    UnquantizedFusedMoEMethod,
)

from ascend_vllm_plugin.capabilities import refuse_needs

__all__ = ["NpuExperts"]


class NpuExperts(UnquantizedFusedMoEMethod):
    """Experts without quantization, on the fused operators behind `ascend_ops`.

    Monolithic, as vLLM calls it: the layer's rule of choice is applied here and not by vLLM's
    routers, which call kernels of CUDA.
    """

    @property
    def is_monolithic(self) -> bool:
        """Say that experts are chosen here, too."""
        return True

    @property
    def supports_eplb(self) -> bool:
        """Say that experts stay where they are: no load is recorded here."""
        return False

    def create_weights(self, layer: RoutedExperts, *args: Any, **options: Any) -> None:
        """Make the weights of a layer, as vLLM does.

        Raises
        ------
        OptionError
            If the layer's experts are of a kind that no kernel here computes.
        """
        _check(layer)
        super().create_weights(layer, *args, **options)

    def process_weights_after_loading(self, layer: RoutedExperts) -> None:
        """Note which experts are held here; the weights stay as they are loaded."""
        layer.first_expert = _first_expert(layer)

    def apply_monolithic(
        self,
        layer: RoutedExperts,
        x: torch.Tensor,
        router_logits: torch.Tensor,
        input_ids: torch.Tensor | None = None,  # noqa: ARG002
    ) -> torch.Tensor:
        """Choose the experts of each token, and add up what they make of it.

        Parameters
        ----------
        layer
            With weights, and the rule of choice.
        x
            ``[tokens, hidden]``.
        router_logits
            ``[tokens, experts]``, experts of other devices included.
        input_ids
            Not used; vLLM's interface has it.

        Returns
        -------
        torch.Tensor
            ``[tokens, hidden]``: this device's part of the sum.
        """
        bias = layer.e_score_correction_bias
        grouped = layer.use_grouped_topk
        weights, experts = choose_experts(
            router_logits,
            layer.top_k,
            scoring=layer.scoring_func,
            renormalize=layer.renormalize,
            # As in vLLM: the plain rule leaves the factor to the model.
            scale=layer.routed_scaling_factor if grouped or bias is not None else 1.0,
            groups=layer.num_expert_group if grouped else 1,
            top_groups=layer.topk_group if grouped else 1,
            # DeepSeek's rules: V2 takes a group's best score, V3, with its bias, the best two.
            best_of_group=2 if bias is not None else 1,
            bias=bias,
        )
        return apply_experts(
            x,
            layer.w13_weight,
            layer.w2_weight,
            weights,
            experts,
            first_expert=layer.first_expert,
            num_experts=layer.global_num_experts,
        )


def _check(layer: RoutedExperts) -> None:
    config = layer.moe_config
    scoring = layer.scoring_func
    refuse_needs(
        {
            f"experts with the activation {config.activation.value!r}": (
                config.activation != MoEActivation.SILU
            ),
            f"experts chosen by {scoring!r}": scoring not in ("softmax", "sigmoid"),
            "experts chosen by a rule of the model's own": layer.custom_routing_function
            is not None,
            "experts chosen by token id": config.has_hash_routing,
            "experts with biases": config.has_bias,
            "experts that clamp their gate": layer.swiglu_limit is not None,
            "experts whose input is weighted": layer.apply_router_weight_on_input,
        }
    )


def _first_expert(layer: RoutedExperts) -> int:
    """Return the number of the first expert that is held here, of all devices' experts."""
    if layer.expert_map is None:
        return 0
    held = (layer.expert_map >= 0).nonzero().flatten().tolist()
    first: int = held[0]
    assert held == list(range(first, first + len(held))), "`missing` refuses other placements"
    return first
