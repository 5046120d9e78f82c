# SPDX-License-Identifier: Apache-2.0
"""Modules as vLLM has them, made of a model of transformers: put together, and cut for a rank.

This is the tests' own cutting, by hand, and not what they test.
"""

import torch
from torch import nn

__all__ = ["fuse"]


class Holder(nn.Module):
    """A module with parameters and modules by name."""

    def __init__(self, **parts: torch.Tensor | nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            else:
                self.register_parameter(name, nn.Parameter(part.detach(), requires_grad=False))


class Rotary(nn.Module):
    """vLLM's rotary embedding, as far as it is read: a table of cosines and sines."""

    is_neox_style = True

    def __init__(self, cos_sin_cache: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("cos_sin_cache", cos_sin_cache)


def fuse(
    model: nn.Module, config: object, rank: int = 0, tp_size: int = 1, device: str = "cpu"
) -> nn.Module:
    """Make vLLM's form of a model."""
    text = getattr(config, "text_config", config)
    trunk = model.model.language_model if hasattr(model.model, "language_model") else model.model

    def rows(tensor: torch.Tensor, pieces: int = tp_size) -> torch.Tensor:
        each = tensor.shape[0] // pieces
        at = rank * pieces // tp_size
        return tensor[at * each : (at + 1) * each]

    def columns(tensor: torch.Tensor) -> torch.Tensor:
        return rows(tensor.mT.contiguous()).mT.contiguous()

    def put(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().contiguous().to(device)

    def vocabulary(tensor: torch.Tensor) -> torch.Tensor:
        padded = -(-tensor.shape[0] // 64) * 64
        return put(rows(torch.cat([tensor, tensor.new_zeros(padded - len(tensor), len(tensor.T))])))

    kv = min(tp_size, text.num_key_value_heads)
    with torch.no_grad():
        half = text.head_dim // 2 if getattr(text, "head_dim", None) else 32
        rotary = Rotary(put(_table(trunk, text, half)))
        layers = [_layer(layer, rotary, rows, columns, put, kv) for layer in trunk.layers]
        inner = Holder(
            embed_tokens=Holder(weight=vocabulary(trunk.embed_tokens.weight)),
            layers=nn.ModuleList(layers),
            norm=Holder(weight=put(trunk.norm.weight)),
        )
        head = Holder(weight=vocabulary(model.lm_head.weight))
    if hasattr(config, "text_config"):
        return Holder(language_model=Holder(model=inner, lm_head=head))
    return Holder(model=inner, lm_head=head)


def _table(trunk, text, half):
    like = torch.zeros(1, dtype=torch.float32)
    positions = torch.arange(text.max_position_embeddings)[None]
    if hasattr(trunk.rotary_emb, "mrope_section"):
        positions = positions.expand(3, 1, -1)
    cos, sin = trunk.rotary_emb(like, positions)
    return torch.cat([cos[0, :, :half], sin[0, :, :half]], -1)


def _layer(layer, rotary, rows, columns, put, kv):
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    qkv = {"weight": put(torch.cat([rows(p.weight, *n) for p, n in _with(projections, kv)]))}
    if projections[0].bias is not None:
        qkv["bias"] = put(torch.cat([rows(p.bias, *n) for p, n in _with(projections, kv)]))
    norms = {
        name: Holder(weight=put(getattr(attention, name).weight))
        for name in ("q_norm", "k_norm")
        if hasattr(attention, name)
    }
    if hasattr(mlp, "experts"):
        w13 = [
            torch.cat([rows(half) for half in each.chunk(2)]) for each in mlp.experts.gate_up_proj
        ]
        w2 = [columns(each) for each in mlp.experts.down_proj]
        experts = Holder(w13_weight=put(torch.stack(w13)), w2_weight=put(torch.stack(w2)))
        fused = Holder(
            gate=Holder(weight=put(mlp.gate.weight)), experts=Holder(routed_experts=experts)
        )
    else:
        gate_up = torch.cat([rows(mlp.gate_proj.weight), rows(mlp.up_proj.weight)])
        fused = Holder(
            gate_up_proj=Holder(weight=put(gate_up)),
            down_proj=Holder(weight=put(columns(mlp.down_proj.weight))),
        )
    return Holder(
        input_layernorm=Holder(weight=put(layer.input_layernorm.weight)),
        post_attention_layernorm=Holder(weight=put(layer.post_attention_layernorm.weight)),
        self_attn=Holder(
            qkv_proj=Holder(**qkv),
            o_proj=Holder(weight=put(columns(attention.o_proj.weight))),
            rotary_emb=rotary,
            **norms,
        ),
        mlp=fused,
    )


def _with(projections, kv):
    return zip(projections, ((), (kv,), (kv,)), strict=True)
