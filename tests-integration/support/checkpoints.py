# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of architectures that vLLM has and transformers lacks.

Each computes what a Llama does and differs in how its weights are named and packed, so the weights
of a Llama become those of the other, and transformers runs the Llama.
"""

import re
from collections.abc import Callable, Mapping

from torch import Tensor, cat

__all__ = ["CONVERTERS"]

_Weights = Mapping[str, Tensor]

_EXAONE = {
    r"model\.embed_tokens": "transformer.wte",
    r"model\.norm": "transformer.ln_f",
    r"model\.layers": "transformer.h",
    r"self_attn\.o_proj": "attn.attention.out_proj",
    r"self_attn": "attn.attention",
    r"gate_proj": "c_fc_0",
    r"up_proj": "c_fc_1",
    r"down_proj": "c_proj",
    r"input_layernorm": "ln_1",
    r"post_attention_layernorm": "ln_2",
}
_INTERNLM2 = {
    r"embed_tokens": "tok_embeddings",
    r"lm_head": "output",
    r"self_attn\.o_proj": "attention.wo",
    r"self_attn": "attention",
    r"mlp\.gate_proj": "feed_forward.w1",
    r"mlp\.down_proj": "feed_forward.w2",
    r"mlp\.up_proj": "feed_forward.w3",
    r"input_layernorm": "attention_norm",
    r"post_attention_layernorm": "ffn_norm",
}


def _renamed(weights: _Weights, names: Mapping[str, str]) -> dict[str, Tensor]:
    def of(name: str) -> str:
        for old, new in names.items():
            name = re.sub(rf"\b{old}\b", new, name)
        return name

    return {of(name): weight for name, weight in weights.items()}


def _exaone(weights: _Weights, head_size: int) -> dict[str, Tensor]:
    return _renamed(weights, _EXAONE)


def _internlm2(weights: _Weights, head_size: int) -> dict[str, Tensor]:
    """Pack, for each head of keys, its queries, itself and its values: ``wqkv``."""
    weights = _renamed(weights, _INTERNLM2)
    packed = {}
    for name, weight in weights.items():
        layer, found, _ = name.partition(".q_proj")
        if found:
            keys, values = (weights[f"{layer}.{kind}_proj.weight"] for kind in "kv")
            by_key = (len(keys) // head_size, -1)
            parts = [part.unflatten(0, by_key) for part in (weight, keys, values)]
            packed[f"{layer}.wqkv.weight"] = cat(parts, dim=1).flatten(0, 1)
        elif ".k_proj" not in name and ".v_proj" not in name:
            packed[name] = weight
    return packed


CONVERTERS: Mapping[str, Callable[[_Weights, int], dict[str, Tensor]]] = {
    "ExaoneForCausalLM": _exaone,
    "InternLM2ForCausalLM": _internlm2,
}
"""By architecture: weights of a Llama and the size of its heads -> weights of the architecture."""
