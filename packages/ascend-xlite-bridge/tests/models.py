# SPDX-License-Identifier: Apache-2.0
"""Tiny models of transformers with random weights, one of each family, and their configs."""

from typing import Any

import torch
import transformers
from torch import nn

__all__ = ["FAMILIES", "make_config", "make_model", "make_tiny_config", "text_model"]

_SIZES = {
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-6,
    "initializer_range": 0.06,
}
_EXPERTS = {
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 64,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}
_TINY = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 64,
    "head_dim": 64,
    "tie_word_embeddings": False,
}
"""Changes of any config that make a model of no use for numbers, and quick to make."""
_FEW_EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_MROPE = {
    "rope_type": "default",
    "rope_theta": 10000.0,
    "mrope_section": [12, 10, 10],
    "mrope_interleaved": True,
}
_VISION = {
    "depth": 2,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_heads": 2,
    "patch_size": 8,
    "deepstack_visual_indexes": [0, 1],
}

FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", {"rope_parameters": _LLAMA3}),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", {}),
    "qwen3": (
        *("Qwen3Config", "Qwen3ForCausalLM"),
        {"head_dim": 128, "tie_word_embeddings": True},
    ),
    "qwen3_moe": (
        *("Qwen3MoeConfig", "Qwen3MoeForCausalLM"),
        {"head_dim": 64, "norm_topk_prob": True, **_EXPERTS},
    ),
    "qwen3_vl": (
        *("Qwen3VLConfig", "Qwen3VLForConditionalGeneration"),
        {"head_dim": 64, "rope_parameters": _MROPE},
    ),
    "qwen3_vl_moe": (
        *("Qwen3VLMoeConfig", "Qwen3VLMoeForConditionalGeneration"),
        {"head_dim": 64, "rope_parameters": _MROPE, **_EXPERTS},
    ),
}
"""By short name: classes of transformers, and sizes of the text part that differ."""


def make_config(family: str, **changes: Any) -> Any:
    """Make the config of a family's tiny model; `changes` are of the text part."""
    kind, architecture, own = FAMILIES[family]
    text = _SIZES | own | changes
    if "vl" in family:
        vision = _VISION | {"out_hidden_size": text["hidden_size"]}
        config = getattr(transformers, kind)(text_config=text, vision_config=vision)
    else:
        config = getattr(transformers, kind)(**text)
    config._attn_implementation = "eager"
    config.architectures = [architecture]
    return config


def make_tiny_config(family: str, **changes: Any) -> Any:
    """Make a config of few and small weights."""
    few = _FEW_EXPERTS if "moe" in family else {}
    return make_config(family, **(_TINY | few | changes))


def make_model(config: Any, dtype: torch.dtype = torch.bfloat16, seed: int = 1) -> nn.Module:
    """Make a model whose weights, norms and biases too, are random, and the same for each type."""
    torch.manual_seed(seed)
    model = getattr(transformers, config.architectures[0])(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
            parameter.copy_(parameter.to(torch.bfloat16))
    for parameter in model.parameters():  # not .to(): it would round the frequencies of rotation
        parameter.data = parameter.data.to(dtype)
    return model.eval()


def text_model(model: nn.Module) -> nn.Module:
    """Return the part that gives hidden states of text."""
    inner = model.model
    return inner.language_model if hasattr(inner, "language_model") else inner
