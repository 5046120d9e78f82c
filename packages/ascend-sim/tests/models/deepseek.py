# SPDX-License-Identifier: Apache-2.0
"""DeepSeek-V2 and -V3 as a plain torch module on torch_npu's fused operators.

Attention is absorbed, as in a decode step: the projections from the latent vector to keys and
values are applied to queries and results instead, so that all heads attend to one latent vector per
token, which is all that the paged cache holds.
"""

from dataclasses import dataclass

import torch
import torch_npu
from torch import nn
from transformers import DeepseekV2ForCausalLM, DeepseekV3ForCausalLM

__all__ = ["BLOCK", "DeepseekOnNpu", "Step"]

BLOCK = 16
"""Tokens per block of the cache."""


@dataclass(frozen=True)
class Step:
    """Where the tokens of a step stand.

    Attributes
    ----------
    first
        Position of the first token of every sequence; the cache holds those before it.
    slots
        Of the cache, for each token of all sequences.
    block_table
        Blocks of every sequence, int32.
    """

    first: int
    slots: torch.Tensor
    block_table: torch.Tensor


class DeepseekOnNpu(nn.Module):
    """The weights of a transformers model behind fused operators."""

    def __init__(self, model: DeepseekV2ForCausalLM | DeepseekV3ForCausalLM) -> None:
        super().__init__()
        self.config = model.config
        self.model = model
        mask = torch.ones(2048, 2048, dtype=torch.bool).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def caches(self, blocks: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Make the cache of every layer: the rotated part of keys, and latent vectors."""
        config = self.config
        return [
            tuple(
                torch.zeros(blocks, BLOCK, 1, size, device=self.mask.device)
                for size in (config.qk_rope_head_dim, config.kv_lora_rank)
            )
            for _ in range(config.num_hidden_layers)
        ]

    def forward(
        self, tokens: torch.Tensor, caches: list[tuple[torch.Tensor, torch.Tensor]], step: Step
    ) -> torch.Tensor:
        """Return the logits of tokens [batch, length] and put them into the caches."""
        model = self.model.model
        x = model.embed_tokens(tokens)
        cos, sin = self._angles(tokens, step)
        for layer, cache in zip(model.layers, caches, strict=True):
            normed = self._norm(layer.input_layernorm, x)
            x = x + self._attention(layer.self_attn, normed, cos, sin, cache, step)
            normed = self._norm(layer.post_attention_layernorm, x)
            is_dense = not hasattr(layer.mlp, "experts")
            x = x + (self._mlp(layer.mlp, normed) if is_dense else self._moe(layer.mlp, normed))
        return self.model.lm_head(self._norm(model.norm, x))

    def _norm(self, norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return torch_npu.npu_rms_norm(x, norm.weight, norm.variance_epsilon)[0]

    def _angles(self, tokens: torch.Tensor, step: Step) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines [batch, 1, length, rope size], each angle in both halves."""
        batch, length = tokens.shape
        rotary = self.model.model.rotary_emb
        positions = torch.arange(step.first, step.first + length, device=tokens.device)
        angles = torch.outer(positions.float(), rotary.inv_freq).repeat(1, 2)
        shape = (batch, 1, length, angles.size(-1))
        scale = rotary.attention_scaling
        return (angles.cos() * scale).expand(shape), (angles.sin() * scale).expand(shape)

    def _attention(self, attention, x, cos, sin, cache, step):
        config, batch, length = self.config, *x.shape[:2]
        nope, rope, latent = (
            config.qk_nope_head_dim,
            config.qk_rope_head_dim,
            config.kv_lora_rank,
        )
        cos, sin = cos.contiguous(), sin.contiguous()
        torch_npu.npu_kv_rmsnorm_rope_cache(
            attention.kv_a_proj_with_mqa(x).unsqueeze(1),
            attention.kv_a_layernorm.weight,
            cos,
            sin,
            step.slots,
            *cache,
            epsilon=attention.kv_a_layernorm.variance_epsilon,
            cache_mode="PA_BNSD",
        )
        if attention.q_lora_rank is None:
            query = attention.q_proj(x)
        else:
            query = attention.q_b_proj(self._norm(attention.q_a_layernorm, attention.q_a_proj(x)))
        query = query.unflatten(-1, (-1, nope + rope)).transpose(1, 2)  # [B, N, S, D]
        q_nope, q_rope = query.split([nope, rope], dim=-1)
        to_keys, to_values = attention.kv_b_proj.weight.unflatten(
            0, (-1, nope + config.v_head_dim)
        ).split([nope, config.v_head_dim], dim=1)  # [N, size, latent]
        rope_pages, latent_pages = (pages.flatten(2) for pages in cache)
        out, _ = torch_npu.npu_fused_infer_attention_score_v2(
            torch.matmul(q_nope, to_keys),
            latent_pages,
            latent_pages,
            query_rope=torch_npu.npu_interleave_rope(q_rope.contiguous(), cos, sin),
            key_rope=rope_pages,
            atten_mask=self.mask,
            sparse_mode=3,
            block_table=step.block_table,
            block_size=BLOCK,
            actual_seq_kvlen=[step.first + length] * batch,
            num_query_heads=config.num_attention_heads,
            num_key_value_heads=1,
            softmax_scale=attention.scaling,
            input_layout="BNSD",
        )
        heads = torch.matmul(out, to_values.transpose(1, 2))  # [B, N, S, value size]
        assert out.size(-1) == latent
        return attention.o_proj(heads.transpose(1, 2).flatten(2))

    def _mlp(self, mlp, x):
        gate_up = torch.cat([mlp.gate_proj(x), mlp.up_proj(x)], -1)
        return mlp.down_proj(torch_npu.npu_swiglu(gate_up))

    def _moe(self, moe, x):
        config, rows = self.config, x.flatten(0, 1)
        is_v3 = config.model_type == "deepseek_v3"
        grouped = is_v3 or config.topk_method == "group_limited_greedy"
        weights, chosen, _ = torch_npu.npu_moe_gating_top_k(
            nn.functional.linear(rows, moe.gate.weight),
            k=config.num_experts_per_tok,
            bias=moe.gate.e_score_correction_bias if is_v3 else None,
            k_group=config.topk_group if grouped else 1,
            group_count=config.n_group if grouped else 1,
            group_select_mode=1 if is_v3 else 0,  # a group's two best experts, or its best one
            norm_type=1 if is_v3 else 0,  # sigmoid with normalized weights, or softmax
            routed_scaling_factor=config.routed_scaling_factor,
            eps=1e-20,
        )
        routed = self._experts(moe.experts, rows, weights, chosen)
        return routed.view_as(x) + self._mlp(moe.shared_experts, x)

    def _experts(self, experts, rows, weights, chosen):
        count = experts.gate_up_proj.size(0)
        x, places, sizes, _ = torch_npu.npu_moe_init_routing_v2(
            rows,
            chosen,
            active_num=chosen.numel(),
            expert_num=count,
            expert_tokens_num_type=1,
            expert_tokens_num_flag=True,
            active_expert_range=[0, count],
        )
        arguments = {"group_list": sizes, "split_item": 3, "group_type": 0, "group_list_type": 1}
        gate_up, down = (
            weight.transpose(1, 2) for weight in (experts.gate_up_proj, experts.down_proj)
        )
        (x,) = torch_npu.npu_grouped_matmul([x], [gate_up], **arguments)
        (x,) = torch_npu.npu_grouped_matmul([torch_npu.npu_swiglu(x)], [down], **arguments)
        return torch_npu.npu_moe_token_unpermute(x, places, weights)
