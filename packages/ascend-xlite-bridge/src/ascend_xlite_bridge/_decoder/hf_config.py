# SPDX-License-Identifier: Apache-2.0
"""Readings of a Hugging Face config that differ between versions of transformers."""

from collections.abc import Mapping
from typing import Any

__all__ = ["head_dim", "rope_parameters", "rotary_dim", "text_config"]


def text_config(config: Any) -> Any:
    """Return the part of a config that describes the decoder: all of it, in a text-only model."""
    return getattr(config, "text_config", None) or config


def rope_parameters(text: Any) -> Mapping[str, Any]:
    """Return what a config says about rotation: transformers 5 and vLLM have renamed it."""
    for name in ("rope_parameters", "rope_scaling"):
        if parameters := getattr(text, name, None):
            assert isinstance(parameters, Mapping)
            return parameters
    return {}


def head_dim(text: Any) -> int:
    """Size of a head, which a config may leave to be computed."""
    return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)


def rotary_dim(text: Any) -> int:
    """Size of the rotated part of a head."""
    whole = getattr(text, "partial_rotary_factor", None) or 1.0
    factor = rope_parameters(text).get("partial_rotary_factor", whole)
    return int(head_dim(text) * factor)
