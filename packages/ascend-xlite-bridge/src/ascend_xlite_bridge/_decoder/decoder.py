# SPDX-License-Identifier: Apache-2.0
"""A decoder as xlite takes it: the typed translation of a Hugging Face config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch

from ascend_xlite_bridge._decoder.families import FAMILIES, Family
from ascend_xlite_bridge._decoder.hf_config import (
    head_dim,
    rope_parameters,
    rotary_dim,
    text_config,
)
from ascend_xlite_bridge._decoder.limits import model_problems
from ascend_xlite_bridge._decoder.quantization import is_quantized
from ascend_xlite_bridge._decoder.ranks import XliteRanks
from ascend_xlite_bridge.errors import XliteUnsupportedError

__all__ = ["XliteDecoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class XliteDecoder:
    """Shape and kind of a decoder, over all ranks.

    Parameters
    ----------
    architecture
        As the config names it.
    dtype
        Of weights and activations.
    vocab_size, hidden_size, num_layers, intermediate_size
        Sizes; `intermediate_size` of a dense layer.
    num_heads, num_kv_heads, head_dim, rotary_dim
        Of attention; `rotary_dim` is the rotated part of a head.
    norm_eps
        Of the RMS norms.
    num_experts, num_experts_per_token, expert_intermediate_size
        Of a model with experts; 0 without.
    renormalizes
        Whether the weights of a token's experts sum to 1.
    num_deepstack_layers
        First layers to whose output features of the image are added.
    mrope_section
        Rotated pairs per coordinate of a position (time, height, width); empty if a position is one
        number.
    is_mrope_interleaved
        Whether the coordinates alternate along a head.
    is_quantized
        Whether weights of layers may have 8 bits, with a scale for each output.
    """

    architecture: str
    dtype: torch.dtype
    vocab_size: int
    hidden_size: int
    num_layers: int
    intermediate_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rotary_dim: int
    norm_eps: float
    num_experts: int = 0
    num_experts_per_token: int = 0
    expert_intermediate_size: int = 0
    renormalizes: bool = False
    num_deepstack_layers: int = 0
    mrope_section: tuple[int, ...] = ()
    is_mrope_interleaved: bool = False
    is_quantized: bool = False

    @classmethod
    def from_config(cls, config: Any, dtype: torch.dtype) -> Self:
        """Translate a config.

        Parameters
        ----------
        config
            Of transformers, for the whole model.
        dtype
            In which the model is loaded.

        Raises
        ------
        XliteUnsupportedError
            If xlite does not compute this model rightly; it lists every feature that does not fit.
        """
        if problems := tuple(model_problems(config, dtype)):
            raise XliteUnsupportedError(problems)
        (architecture,) = config.architectures
        family = FAMILIES[architecture]
        text = text_config(config)
        rope = rope_parameters(text)
        return cls(
            architecture=architecture,
            dtype=dtype,
            vocab_size=text.vocab_size,
            hidden_size=text.hidden_size,
            num_layers=text.num_hidden_layers,
            intermediate_size=text.intermediate_size,
            num_heads=text.num_attention_heads,
            num_kv_heads=text.num_key_value_heads,
            head_dim=head_dim(text),
            rotary_dim=rotary_dim(text),
            norm_eps=text.rms_norm_eps,
            is_quantized=is_quantized(config),
            **_experts(text, family),
            **_vision(config, rope, family),
        )

    @property
    def family(self) -> Family:
        """What its architecture has in common with others."""
        return FAMILIES[self.architecture]

    def sizes(self, ranks: XliteRanks, vocab_rows: int) -> Mapping[str, int]:
        """Sizes of one rank's part of the weights, by the names in `WeightRow.shape`.

        Parameters
        ----------
        ranks
            How the model is divided.
        vocab_rows
            Rows of the vocabulary that each rank has, which whoever cut it decided.
        """
        heads = self.num_heads // ranks.tp_size * self.head_dim
        kv_heads = self.num_local_kv_heads(ranks) * self.head_dim
        expert = self.expert_intermediate_size // ranks.moe_tp_size
        return {
            "vocab": vocab_rows,
            "hidden": self.hidden_size,
            "head": self.head_dim,
            "heads": heads,
            "qkv": heads + 2 * kv_heads,
            "intermediate": self.intermediate_size // ranks.tp_size,
            "gate_up": 2 * (self.intermediate_size // ranks.tp_size),
            "experts": self.num_experts,
            "expert_intermediate": expert,
            "expert_gate_up": 2 * expert,
        }

    def num_local_kv_heads(self, ranks: XliteRanks) -> int:
        """Key and value heads of one rank: with more ranks than heads, several ranks have one."""
        return max(self.num_kv_heads // ranks.tp_size, 1)


def _experts(text: Any, family: Family) -> dict[str, Any]:
    if not family.has_experts:
        return {}
    return {
        "num_experts": text.num_experts,
        "num_experts_per_token": text.num_experts_per_tok,
        "expert_intermediate_size": text.moe_intermediate_size,
        "renormalizes": getattr(text, "norm_topk_prob", family.renormalizes),
    }


def _vision(config: Any, rope: Mapping[str, Any], family: Family) -> dict[str, Any]:
    if not family.is_vision:
        return {}
    return {
        "num_deepstack_layers": len(config.vision_config.deepstack_visual_indexes),
        "mrope_section": tuple(rope["mrope_section"]),
        "is_mrope_interleaved": rope.get("mrope_interleaved", True),
    }
