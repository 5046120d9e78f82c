# SPDX-License-Identifier: Apache-2.0
"""What xlite can compute, as checks of a config and of the way it is to be run.

The library itself checks little more than counts: a model beyond its limits runs and gives wrong
tokens. Each limit here says where it comes from: [B] seen in the behaviour of the xlite 0.2.0rc4
wheel, [S] read in its published source (GVirt, August 2026), [V] a rule of vllm-ascend's use of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from ascend_core import OptionError

from ascend_xlite_bridge._decoder.families import ARCHITECTURES, FAMILIES, Family
from ascend_xlite_bridge._decoder.hf_config import rotary_dim, text_config
from ascend_xlite_bridge._decoder.quantization import quantization_problems
from ascend_xlite_bridge._decoder.ranks import XliteRanks
from ascend_xlite_bridge.errors import XliteUnsupportedError

__all__ = ["XliteRun", "check_run", "model_problems", "run_problems"]

_ROTARY_DIMS = (64, 128)  # [S] the kernel has a branch for each, and no other
_HIDDEN_MULTIPLE = 16  # [S]
_MAX_BLOCK_SIZE = 128  # [V]
_SPECULATIVE_TOKENS = (0, 1)  # [V]


@dataclass(frozen=True, slots=True, kw_only=True)
class XliteRun:
    """How a model is to be run. The engine plans its memory by this, once.

    Parameters
    ----------
    max_tokens
        Most new tokens in a step, over all requests.
    max_requests
        Most requests in a step.
    max_seq_len
        Most tokens of a request, cached and new.
    block_size
        Tokens per block of the KV cache.
    ranks
        How the model is divided.
    pipeline_parallel_size
        Stages.
    num_speculative_tokens
        Tokens guessed per step; 0 without speculative decoding.
    is_lora_enabled
        Whether adapters may be loaded.
    """

    max_tokens: int
    max_requests: int
    max_seq_len: int
    block_size: int = 128
    ranks: XliteRanks = field(default_factory=XliteRanks)
    pipeline_parallel_size: int = 1
    num_speculative_tokens: int = 0
    is_lora_enabled: bool = False

    def __post_init__(self) -> None:
        for name in ("max_tokens", "max_requests", "max_seq_len"):
            if getattr(self, name) < 1:
                raise OptionError(name, getattr(self, name), "out of range", "1 or more")


def check_run(config: Any, dtype: torch.dtype, run: XliteRun) -> None:
    """Check that xlite computes the right thing for a model, from its config alone.

    Parameters
    ----------
    config
        Of transformers, for the whole model.
    dtype
        In which it will be loaded.
    run
        How it is to be run.

    Raises
    ------
    XliteUnsupportedError
        If it does not; it lists every option that does not fit.
    """
    problems = list(model_problems(config, dtype))
    if _family(config) is not None:  # of another architecture, no sizes are known
        problems += run_problems(config, run)
    if problems:
        raise XliteUnsupportedError(tuple(problems))


def model_problems(config: Any, dtype: torch.dtype) -> Iterator[OptionError]:
    """List what xlite lacks for a model; nothing else is listed for an unknown architecture."""
    family = _family(config)
    if family is None:
        name = ", ".join(getattr(config, "architectures", None) or ())
        yield OptionError("model architecture", name, "xlite does not know it", ARCHITECTURES)
        return
    text = text_config(config)
    dtypes = [torch.bfloat16] if family.has_experts else [torch.bfloat16, torch.float16]
    if dtype not in dtypes:  # [B] experts refuse float16, everything refuses float32
        kind = "a model with experts" if family.has_experts else "a dense model"
        names = tuple(_name(each) for each in dtypes)
        yield OptionError("--dtype", _name(dtype), f"xlite does not run {kind} in it", names)
    if text.hidden_size % _HIDDEN_MULTIPLE:
        yield OptionError(
            "model hidden_size",
            text.hidden_size,
            "no size that xlite's kernels take",
            f"a multiple of {_HIDDEN_MULTIPLE}",
        )
    if rotary_dim(text) not in _ROTARY_DIMS:
        yield OptionError(
            "model rotary dimension", rotary_dim(text), "xlite has no kernel for it", _ROTARY_DIMS
        )
    yield from quantization_problems(config, family, dtype)
    yield from _feature_problems(text)
    if family.has_experts:
        yield from _expert_problems(text)


def run_problems(config: Any, run: XliteRun) -> Iterator[OptionError]:
    """List what xlite lacks for the way a model is to be run."""
    text, ranks = text_config(config), run.ranks
    if not 0 < run.block_size <= _MAX_BLOCK_SIZE:
        yield OptionError("--block-size", run.block_size, "out of range", f"1 to {_MAX_BLOCK_SIZE}")
    yield from _divisions(text, ranks)
    if run.pipeline_parallel_size != 1:
        yield OptionError(
            "--pipeline-parallel-size", run.pipeline_parallel_size, "xlite has no stages", (1,)
        )
    if run.num_speculative_tokens not in _SPECULATIVE_TOKENS:
        yield OptionError(
            "--speculative-config.num_speculative_tokens",
            run.num_speculative_tokens,
            "xlite verifies at most one guessed token per step",
            _SPECULATIVE_TOKENS,
        )
    if run.is_lora_enabled:
        yield OptionError("--enable-lora", True, "xlite has no adapters", (False,))


def _family(config: Any) -> Family | None:
    architectures = list(getattr(config, "architectures", None) or [])
    return FAMILIES.get(architectures[0]) if len(architectures) == 1 else None


def _feature_problems(text: Any) -> Iterator[OptionError]:
    """List what attention, layers and weights do beyond what the engine computes [S]."""
    if getattr(text, "hidden_act", "silu") not in ("silu", "swish"):
        yield OptionError("model hidden_act", text.hidden_act, "xlite computes silu", ("silu",))
    if _slides(text):
        yield OptionError(
            "model sliding_window",
            getattr(text, "sliding_window", None),
            "xlite would ignore it and attend to everything",
            "full causal attention",
        )
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        if getattr(text, name, None):
            yield OptionError(f"model {name}", getattr(text, name), "xlite would ignore it")
    for name in ("attention_bias", "mlp_bias"):  # [B] there is no field to pass them in
        if getattr(text, name, False):
            yield OptionError(
                f"model {name}", True, "xlite would leave out the bias of o_proj or of the MLP"
            )


def _slides(text: Any) -> bool:
    if "sliding_attention" in (getattr(text, "layer_types", None) or ()):
        return True
    has_window = getattr(text, "sliding_window", None) is not None
    return has_window and bool(getattr(text, "use_sliding_window", True))


def _expert_problems(text: Any) -> Iterator[OptionError]:
    if getattr(text, "mlp_only_layers", None) or getattr(text, "decoder_sparse_step", 1) != 1:
        yield OptionError(
            "model mlp_only_layers / decoder_sparse_step",
            "dense layers among the sparse",
            "xlite takes dense layers only before all sparse ones",
            "experts in every layer",
        )


def _divisions(text: Any, ranks: XliteRanks) -> Iterator[OptionError]:
    """List what the ranks do not divide, which the engine does not check [B]."""
    heads, kv_heads = text.num_attention_heads, text.num_key_value_heads
    tp = ranks.tp_size
    if heads % tp or (kv_heads % tp and tp % kv_heads):
        reason = f"it does not divide {heads} attention heads and {kv_heads} key and value heads"
        yield OptionError("--tensor-parallel-size", tp, reason)
    if text.intermediate_size % tp:
        reason = f"it does not divide an intermediate size of {text.intermediate_size}"
        yield OptionError("--tensor-parallel-size", tp, reason)
    experts = getattr(text, "num_experts", 0) or 0
    if not experts:
        return
    if ranks.is_expert_parallel and experts % ranks.moe_ep_size:
        reason = f"{ranks.moe_ep_size} ranks do not divide {experts} experts"
        yield OptionError("--enable-expert-parallel with --tensor-parallel-size", tp, reason)
    elif text.moe_intermediate_size % ranks.moe_tp_size:
        reason = f"{ranks.moe_tp_size} ranks do not divide experts of {text.moe_intermediate_size}"
        yield OptionError("--tensor-parallel-size", tp, reason)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
