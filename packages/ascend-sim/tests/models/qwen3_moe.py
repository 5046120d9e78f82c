# SPDX-License-Identifier: Apache-2.0
"""Qwen3-MoE as a plain torch module on torch_npu's fused operators."""

from collections.abc import Callable

import torch
import torch_npu
from torch import nn
from transformers import Qwen3MoeForCausalLM

__all__ = ["EXPERT_PATHS", "Qwen3MoeOnNpu"]

Experts = tuple[torch.Tensor, torch.Tensor]


def _expert_layer(
    x: torch.Tensor, experts: Experts, groups: torch.Tensor, group_list_type: int
) -> torch.Tensor:
    """Rows in the order of their experts through gate, up and down projections."""
    gate_up, down = experts
    arguments = {
        "group_list": groups,
        "split_item": 3,
        "group_type": 0,
        "group_list_type": group_list_type,
    }
    (x,) = torch_npu.npu_grouped_matmul([x], [gate_up], **arguments)
    (x,) = torch_npu.npu_grouped_matmul([torch_npu.npu_swiglu(x)], [down], **arguments)
    return x


def _first_operators(x: torch.Tensor, logits: torch.Tensor, k: int, experts: Experts):
    """Ends of groups, places by columns; the weights normalized by hand."""
    weights, chosen, row_idx = torch_npu.npu_moe_gating_top_k_softmax(logits, None, k)
    weights = weights / weights.sum(-1, keepdim=True)
    rows, places, sorted_experts = torch_npu.npu_moe_init_routing(x, row_idx, chosen, len(x))
    ends = torch_npu.npu_moe_compute_expert_tokens(sorted_experts, logits.size(-1))
    rows = _expert_layer(rows, experts, ends.long(), group_list_type=0)
    return torch_npu.npu_moe_finalize_routing(rows, None, None, None, weights, places, chosen)


def _second_operators(x: torch.Tensor, logits: torch.Tensor, k: int, experts: Experts):
    """Sizes of groups, places by rows; the weights normalized by the gate."""
    count = logits.size(-1)
    weights, chosen, _ = torch_npu.npu_moe_gating_top_k_softmax_v2(logits, k=k, renorm=1)
    rows, places, sizes, _ = torch_npu.npu_moe_init_routing_v2(
        x,
        chosen,
        active_num=len(x) * k,
        expert_num=count,
        expert_tokens_num_type=1,
        expert_tokens_num_flag=True,
        active_expert_range=[0, count],
    )
    rows = _expert_layer(rows, experts, sizes, group_list_type=1)
    return torch_npu.npu_moe_token_unpermute(rows, places, weights)


EXPERT_PATHS: dict[str, Callable[..., torch.Tensor]] = {
    "init_routing, finalize_routing": _first_operators,
    "init_routing_v2, token_unpermute": _second_operators,
}
"""Ways through the experts of a layer, by the operators they take."""


class Qwen3MoeOnNpu(nn.Module):
    """The weights of a transformers model behind fused operators."""

    def __init__(self, model: Qwen3MoeForCausalLM, experts: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.config = model.config
        self.model = model
        self.experts = experts
        mask = torch.ones(2048, 2048, dtype=torch.bool).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        model = self.model.model
        x = model.embed_tokens(tokens)
        positions = torch.arange(tokens.size(1), device=tokens.device).unsqueeze(0)
        cos, sin = (t.unsqueeze(2) for t in model.rotary_emb(x, positions))
        for layer in model.layers:
            x = x + self._attention(layer.self_attn, self._norm(layer.input_layernorm, x), cos, sin)
            x = x + self._moe(layer.mlp, self._norm(layer.post_attention_layernorm, x))
        return self.model.lm_head(self._norm(model.norm, x))

    def _norm(self, norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return torch_npu.npu_rms_norm(x, norm.weight, norm.variance_epsilon)[0]

    def _attention(self, attention, x, cos, sin):
        config = self.config
        query, key, value = (
            projection(x).unflatten(-1, (-1, config.head_dim))
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        query = torch_npu.npu_rotary_mul(self._norm(attention.q_norm, query), cos, sin)
        key = torch_npu.npu_rotary_mul(self._norm(attention.k_norm, key), cos, sin)
        out, _ = torch_npu.npu_fused_infer_attention_score(
            query,
            key,
            value,
            num_heads=config.num_attention_heads,
            num_key_value_heads=config.num_key_value_heads,
            scale=attention.scaling,
            input_layout="BSND",
            atten_mask=self.mask,
            sparse_mode=3,
        )
        return attention.o_proj(out.flatten(-2))

    def _moe(self, moe, x):
        rows = x.flatten(0, 1)
        logits = nn.functional.linear(rows, moe.gate.weight)
        experts = (
            moe.experts.gate_up_proj.transpose(1, 2),
            moe.experts.down_proj.transpose(1, 2),
        )
        return self.experts(rows, logits, self.config.num_experts_per_tok, experts).view_as(x)
