# SPDX-License-Identifier: Apache-2.0
"""What xlite can compute, as checks over plain values.

The library itself checks little more than counts: a model beyond its limits runs and gives wrong
tokens. Each limit here says where it comes from: [B] seen in the behaviour of the xlite 0.2.0rc4
wheel, [S] read in its published source (GVirt, August 2026), [V] a rule of vllm-ascend's use of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ascend_core import OptionError

from ascend_xlite_bridge._config import XliteConfig
from ascend_xlite_bridge.errors import XliteUnsupportedError

__all__ = ["ARCHITECTURES", "XliteModelSpec", "validate"]

ARCHITECTURES = (
    "LlamaForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
    "Qwen3VLForConditionalGeneration",
    "Qwen3VLMoeForConditionalGeneration",
)

_ROTARY_DIMS = (64, 128)  # [S] the kernel has a branch for each, and no other
_HIDDEN_MULTIPLE = 16  # [S]
_MAX_BLOCK_SIZE = 128  # [V]
_SPECULATIVE_TOKENS = (0, 1)  # [V]


@dataclass(frozen=True, slots=True, kw_only=True)
class XliteModelSpec:
    """A model and the way it is to be run, as far as xlite's limits go.

    Parameters
    ----------
    architecture
        As `config.json` of the model names it.
    dtype
        Of weights and activations: "bfloat16", "float16" or "float32".
    hidden_size, num_attention_heads, rotary_dim
        Of the decoder; `num_attention_heads` over all ranks, `rotary_dim` the rotated part of a
        head.
    num_experts
        Routed experts per layer; 0 for a dense model.
    is_every_layer_sparse
        Of a model with experts: whether no layer is dense.
    is_neox_rope
        Whether the rotation pairs the two halves of a head, not neighbours.
    attention_features
        What attention does beyond "causal over everything": "sliding_window", "sinks",
        "soft_cap", "alibi".
    biased_layers
        Linear layers with a bias other than the q, k and v projections: "o_proj", "mlp".
    block_size
        Tokens per block of the KV cache.
    tensor_parallel_size, pipeline_parallel_size
        Ranks in each direction.
    num_speculative_tokens
        Tokens guessed per step; 0 without speculative decoding.
    is_lora_enabled
        Whether adapters may be loaded.
    """

    architecture: str
    dtype: str
    hidden_size: int
    num_attention_heads: int
    rotary_dim: int
    num_experts: int = 0
    is_every_layer_sparse: bool = True
    is_neox_rope: bool = True
    attention_features: tuple[str, ...] = ()
    biased_layers: tuple[str, ...] = ()
    block_size: int = 128
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    num_speculative_tokens: int = 0
    is_lora_enabled: bool = False


def validate(config: XliteConfig, spec: XliteModelSpec) -> None:
    """Check that xlite computes the right thing for a model.

    Parameters
    ----------
    config
        Nothing is checked if it does not enable xlite.
    spec
        The model and the way it is to be run.

    Raises
    ------
    XliteUnsupportedError
        If it does not; it lists every option that does not fit.
    """
    if not config.enabled:
        return
    problems = (
        *_model_problems(spec),
        *_attention_problems(spec),
        *_expert_problems(spec),
        *_run_problems(spec),
    )
    if problems:
        raise XliteUnsupportedError(problems)


def _model_problems(spec: XliteModelSpec) -> Iterator[OptionError]:
    if spec.architecture not in ARCHITECTURES:
        yield OptionError(
            "model architecture", spec.architecture, "xlite does not know it", ARCHITECTURES
        )
    dtypes = ("bfloat16",) if spec.num_experts else ("bfloat16", "float16")
    if spec.dtype not in dtypes:  # [B] experts refuse float16, everything refuses float32
        kind = "a model with experts" if spec.num_experts else "a dense model"
        yield OptionError("--dtype", spec.dtype, f"xlite does not run {kind} in it", dtypes)
    if spec.hidden_size % _HIDDEN_MULTIPLE:
        yield OptionError(
            "model hidden_size",
            spec.hidden_size,
            "no size that xlite's kernels take",
            f"a multiple of {_HIDDEN_MULTIPLE}",
        )
    if spec.biased_layers:  # [B] there is no field to pass them in
        yield OptionError(
            "model biases", spec.biased_layers, "xlite would leave them out", "q, k and v only"
        )


def _attention_problems(spec: XliteModelSpec) -> Iterator[OptionError]:
    if spec.rotary_dim not in _ROTARY_DIMS:
        yield OptionError(
            "model rotary dimension", spec.rotary_dim, "xlite has no kernel for it", _ROTARY_DIMS
        )
    if not spec.is_neox_rope:  # [S]
        yield OptionError(
            "model rotary style", "gpt-j", "xlite rotates the halves of a head", ("neox",)
        )
    if spec.attention_features:  # [S]
        yield OptionError(
            "model attention",
            spec.attention_features,
            "xlite would ignore it and attend to everything",
            "full causal attention",
        )


def _expert_problems(spec: XliteModelSpec) -> Iterator[OptionError]:
    if spec.num_experts and not spec.is_every_layer_sparse:
        yield OptionError(
            "model mlp_only_layers / decoder_sparse_step",
            "dense layers among the sparse",
            "xlite takes dense layers only before all sparse ones",
            "experts in every layer",
        )


def _run_problems(spec: XliteModelSpec) -> Iterator[OptionError]:
    if not 0 < spec.block_size <= _MAX_BLOCK_SIZE:
        yield OptionError(
            "--block-size", spec.block_size, "out of range", f"1 to {_MAX_BLOCK_SIZE}"
        )
    if spec.num_attention_heads % spec.tensor_parallel_size:  # [B] not checked by xlite
        yield OptionError(
            "--tensor-parallel-size",
            spec.tensor_parallel_size,
            f"it does not divide {spec.num_attention_heads} attention heads",
        )
    if spec.pipeline_parallel_size != 1:
        yield OptionError(
            "--pipeline-parallel-size", spec.pipeline_parallel_size, "xlite has no stages", (1,)
        )
    if spec.num_speculative_tokens not in _SPECULATIVE_TOKENS:
        yield OptionError(
            "--speculative-config.num_speculative_tokens",
            spec.num_speculative_tokens,
            "xlite verifies at most one guessed token per step",
            _SPECULATIVE_TOKENS,
        )
    if spec.is_lora_enabled:
        yield OptionError("--enable-lora", True, "xlite has no adapters", (False,))
