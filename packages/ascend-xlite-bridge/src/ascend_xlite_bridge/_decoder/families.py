# SPDX-License-Identifier: Apache-2.0
"""The families of decoders that xlite has, and where each keeps what the engine needs: data."""

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["ARCHITECTURES", "FAMILIES", "Family", "WeightRow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRow:
    """One attribute of the engine's model, and where a decoder has it.

    Parameters
    ----------
    field
        Name of the attribute.
    fused
        Paths in vLLM's modules, of which the first that exists is taken; the tensor is the rank's
        part already, and is handed over as it is.
    unfused
        Paths in Hugging Face's modules; the parts, each cut for the rank, are put together along
        dimension 0.
    shape
        Names of the dimensions of the rank's part, which `XliteDecoder.sizes` has.
    cut
        Dimension of each of the unfused parts that is divided among the ranks of a tensor-parallel
        group; None if every rank has all of it.
    per
        How many there are: one in the model, one in each layer, or one of each expert in each
        layer, whose tensor has the experts first.
    is_linear
        Whether it is the weight of a product, which may be in the format FRACTAL_NZ.
    scales
        Name of the attribute for the scales of its outputs, if it may have 8 bits. They are beside
        the weight, with "_scale" at the end of the path.
    takes_float32
        Whether it may be in float32 in a model of another type.
    kv_from
        First of the unfused parts that belongs to the key and value heads, of which there may be
        fewer than ranks.
    stacked
        Equal parts of which an unfused tensor is made along its `cut` dimension already.
    """

    field: str
    fused: tuple[str, ...]
    unfused: tuple[str, ...]
    shape: tuple[str, ...]
    cut: int | None = None
    per: Literal["model", "layer", "expert"] = "layer"
    is_linear: bool = False
    scales: str | None = None
    takes_float32: bool = False
    kv_from: int | None = None
    stacked: int = 1

    def of_scales(self) -> "WeightRow":
        """Return the row of its scales, one for each output: shape (outputs, 1)."""
        assert self.scales is not None
        return replace(
            self,
            field=self.scales,
            fused=tuple(f"{path}_scale" for path in self.fused),
            unfused=tuple(f"{path}_scale" for path in self.unfused),
            shape=self.shape[:1],
            cut=0 if self.cut == 0 else None,
            is_linear=False,
            scales=None,
        )


def _norm(field: str, path: str, size: str) -> WeightRow:
    return WeightRow(field=field, fused=(path,), unfused=(path,), shape=(size,))


_ENDS = (
    WeightRow(
        field="embed",
        fused=("embed_tokens.weight",),
        unfused=("embed_tokens.weight",),
        shape=("vocab", "hidden"),
        cut=0,
        per="model",
    ),
    WeightRow(
        field="norm",
        fused=("norm.weight",),
        unfused=("norm.weight",),
        shape=("hidden",),
        per="model",
    ),
    WeightRow(
        field="head",
        fused=("lm_head.weight",),
        unfused=("lm_head.weight",),
        shape=("vocab", "hidden"),
        cut=0,
        per="model",
        is_linear=True,
    ),
)
_ATTENTION = (
    _norm("attn_norm", "input_layernorm.weight", "hidden"),
    WeightRow(
        field="mha_qkv",
        fused=("self_attn.qkv_proj.weight",),
        unfused=("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
        shape=("qkv", "hidden"),
        cut=0,
        kv_from=1,
        is_linear=True,
        scales="mha_qkv_deq_scale",
    ),
    WeightRow(
        field="attn_out",
        fused=("self_attn.o_proj.weight",),
        unfused=("self_attn.o_proj.weight",),
        shape=("hidden", "heads"),
        cut=1,
        is_linear=True,
        scales="attn_out_deq_scale",
    ),
    _norm("mlp_norm", "post_attention_layernorm.weight", "hidden"),
)
_QKV_BIAS = (
    WeightRow(
        field="mha_qkv_bias",
        fused=("self_attn.qkv_proj.bias",),
        unfused=("self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"),
        shape=("qkv",),
        cut=0,
        kv_from=1,
    ),
)
_QK_NORM = (
    _norm("mha_q_norm", "self_attn.q_norm.weight", "head"),
    _norm("mha_k_norm", "self_attn.k_norm.weight", "head"),
)
_DENSE = (
    WeightRow(
        field="mlp_up_gate",  # the gate comes first, whatever the name says
        fused=("mlp.gate_up_proj.weight",),
        unfused=("mlp.gate_proj.weight", "mlp.up_proj.weight"),
        shape=("gate_up", "hidden"),
        cut=0,
        is_linear=True,
        scales="mlp_up_gate_deq_scale",
    ),
    WeightRow(
        field="mlp_down",
        fused=("mlp.down_proj.weight",),
        unfused=("mlp.down_proj.weight",),
        shape=("hidden", "intermediate"),
        cut=1,
        is_linear=True,
        scales="mlp_down_deq_scale",
    ),
)
_EXPERTS = (
    WeightRow(
        field="gate",
        fused=("mlp.gate.weight",),
        unfused=("mlp.gate.weight",),
        shape=("experts", "hidden"),
        is_linear=True,
        takes_float32=True,
    ),
    WeightRow(
        field="re_up_gate",
        fused=("mlp.experts.routed_experts.w13_weight", "mlp.experts.w13_weight"),
        unfused=("mlp.experts.gate_up_proj",),
        shape=("expert_gate_up", "hidden"),
        cut=0,
        stacked=2,
        per="expert",
        is_linear=True,
        scales="re_up_gate_deq_scale",
    ),
    WeightRow(
        field="re_down",
        fused=("mlp.experts.routed_experts.w2_weight", "mlp.experts.w2_weight"),
        unfused=("mlp.experts.down_proj",),
        shape=("hidden", "expert_intermediate"),
        cut=1,
        per="expert",
        is_linear=True,
        scales="re_down_deq_scale",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What the architectures of a family have in common.

    Parameters
    ----------
    rows
        Where its weights are.
    has_qkv_bias, has_qk_norm, has_experts
        What its layers have.
    is_vision
        Whether it is the text part of a model that sees: positions with three coordinates, and
        features of the image that are added after the first layers.
    renormalizes
        Whether the weights of the chosen experts sum to 1 where the config does not say.
    """

    rows: tuple[WeightRow, ...]
    has_qkv_bias: bool = False
    has_qk_norm: bool = False
    has_experts: bool = False
    is_vision: bool = False
    renormalizes: bool = False


_QWEN3 = Family(rows=_ENDS + _ATTENTION + _QK_NORM + _DENSE, has_qk_norm=True)
_QWEN3_MOE = Family(
    rows=_ENDS + _ATTENTION + _QK_NORM + _EXPERTS, has_qk_norm=True, has_experts=True
)

FAMILIES = {
    "LlamaForCausalLM": Family(rows=_ENDS + _ATTENTION + _DENSE),
    "Qwen2ForCausalLM": Family(rows=_ENDS + _ATTENTION + _QKV_BIAS + _DENSE, has_qkv_bias=True),
    "Qwen3ForCausalLM": _QWEN3,
    "Qwen3MoeForCausalLM": _QWEN3_MOE,
    "Qwen3VLForConditionalGeneration": Family(rows=_QWEN3.rows, has_qk_norm=True, is_vision=True),
    "Qwen3VLMoeForConditionalGeneration": Family(
        rows=_QWEN3_MOE.rows,
        has_qk_norm=True,
        has_experts=True,
        is_vision=True,
        renormalizes=True,
    ),
}
"""By the name in `architectures` of a config."""

ARCHITECTURES = tuple(FAMILIES)
