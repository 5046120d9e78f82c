# SPDX-License-Identifier: Apache-2.0
"""What a model may need and this platform lacks, as far as the model's configuration tells.

A model is refused for such a need only, never for its name: what nobody has tried runs, with a
warning (`refusals.warn_untested`). What only the model's code tells is refused by the attention
layer that asks for it, which is made before any weight is loaded.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ascend_core import OptionError
from vllm.config import ModelConfig, VllmConfig

__all__ = ["NEEDS", "Need", "refuse_needs", "unmet_needs"]

_OTHER_MODEL = "a model without it"


@dataclass(frozen=True)
class Need:
    """One thing that some models need and this platform lacks.

    Parameters
    ----------
    what
        Its name.
    is_of
        Whether a model needs it.
    reason
        What is missing.
    valid
        What to do instead.
    """

    what: str
    is_of: Callable[[ModelConfig], object]
    reason: str
    valid: str = _OTHER_MODEL


def _field(name: str) -> Callable[[ModelConfig], object]:
    """Value of a field of the model's own configuration; None if it has none."""
    return lambda model: getattr(model.hf_text_config, name, None)


NEEDS = (
    Need(
        "sparse attention",
        _field("index_topk"),
        "there is no attention backend for it in this version",
    ),
    Need(
        "ALiBi",
        lambda model: model.uses_alibi or model.architecture == "Step1ForCausalLM",
        "the attention kernel adds no bias to the scores of packed queries",
    ),
    Need(
        "a soft cap on attention scores (attn_logit_softcapping)",
        _field("attn_logit_softcapping"),
        "the attention kernel has none",
        "a model without it; to leave it out changes what the model answers",
    ),
    Need(
        "attention in chunks (attention_chunk_size)",
        _field("attention_chunk_size"),
        "there is no attention backend for it in this version",
    ),
    Need(
        "layers with a state (Mamba, linear attention, short convolution)",
        lambda model: model.is_attention_free or model.is_hybrid,
        "their kernels are written in Triton, and there is no Triton for the NPU here",
    ),
    Need(
        "attention of a decoder to an encoder",
        lambda model: model.is_encoder_decoder,
        "attention is causal on this platform",
    ),
    Need(
        "attention in both directions to images (a prefix language model)",
        lambda model: model.is_mm_prefix_lm,
        "attention is causal on this platform",
    ),
    Need(
        "generation by diffusion",
        lambda model: model.is_diffusion,
        "attention is causal on this platform",
    ),
    Need(
        "dual-chunk attention (dual_chunk_attention_config)",
        _field("dual_chunk_attention_config"),
        "there is no kernel for dual-chunk attention",
        "the same model without dual_chunk_attention_config, up to the length it was trained for",
    ),
)
"""All of them."""


def unmet_needs(vllm_config: VllmConfig) -> Iterator[OptionError]:
    """Find what the model needs and this platform lacks.

    Parameters
    ----------
    vllm_config
        With options as the user gave them, and a model.
    """
    model = vllm_config.model_config
    for need in NEEDS:
        if need.is_of(model):
            yield OptionError(
                "--model", f"{model.architecture}: {need.what}", need.reason, need.valid
            )


def refuse_needs(needs: Mapping[str, bool]) -> None:
    """Refuse a model for what only its code tells, when a layer of it is made.

    Parameters
    ----------
    needs
        Whether the layer needs them, by name; all are things that this platform lacks.

    Raises
    ------
    OptionError
        For the first that it needs.
    """
    for what, is_needed in needs.items():
        if is_needed:
            raise OptionError("--model", what, "this version has no kernel for it", _OTHER_MODEL)
