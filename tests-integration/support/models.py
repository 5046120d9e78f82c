# SPDX-License-Identifier: Apache-2.0
"""Tiny random models, made from a seed. Nothing is downloaded."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from support.checkpoints import CONVERTERS
from support.model_table import Row

__all__ = [
    "COMMON_SHAPE",
    "FAMILIES",
    "GENTLE_SCALE",
    "LAYERS",
    "REFERENCE",
    "WITH_EXPERTS",
    "WITH_LATENTS",
    "make_byte_tokenizer",
    "make_device_model",
    "make_model",
    "make_model_of_row",
    "randomize",
]

LAYERS = 4
REFERENCE = "reference"
"""Folder in that of a row's model: what transformers runs."""

_WEIGHTS = "model.safetensors"
_SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Large enough for attention to decide tokens, so that a wrong cache gives wrong tokens; the
# reference asserts that no two tokens are nearly equal.
_WEIGHT_SCALE = 0.12
GENTLE_SCALE = 0.03
"""Standard deviation of weights, so small that rounding to bf16 leaves most tokens decided."""

COMMON_SHAPE = {
    "vocab_size": 320,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
}
"""What all models have, as far as their kind has it."""

_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,  # less than the prompts have, so that scaling acts
}
FAMILIES = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {"tie_word_embeddings": True}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"tie_word_embeddings": False, "head_dim": 32}),
    "llama": (
        LlamaConfig,
        LlamaForCausalLM,
        {"tie_word_embeddings": False, "rope_parameters": _LLAMA3_ROPE},
    ),
}
"""Configuration class, model class and what differs from the common shape."""

WITH_EXPERTS = {
    # Weights of a token's experts that do not add up to 1, a shared expert, and a dense layer.
    "qwen2_moe": (
        Qwen2MoeConfig,
        Qwen2MoeForCausalLM,
        {
            "tie_word_embeddings": False,
            "num_experts": 8,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 64,
            "shared_expert_intermediate_size": 96,
            "norm_topk_prob": False,
            "mlp_only_layers": [1],
        },
    ),
    "qwen3_moe": (
        Qwen3MoeConfig,
        Qwen3MoeForCausalLM,
        {
            "tie_word_embeddings": False,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 64,
            "norm_topk_prob": True,
        },
    ),
    "mixtral": (
        MixtralConfig,
        MixtralForCausalLM,
        {
            "tie_word_embeddings": False,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "sliding_window": None,
        },
    ),
}
"""The same, for mixtures of experts: a token goes to 2 of 8, or to 8 of 128."""

_LATENT = {
    "tie_word_embeddings": False,
    "num_key_value_heads": 4,
    "kv_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "v_head_dim": 32,
    "n_routed_experts": 16,
    "n_shared_experts": 1,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 64,
    "first_k_dense_replace": 1,
    "n_group": 4,
    "topk_group": 2,
}
_YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 0.7,
    "original_max_position_embeddings": 64,  # less than the prompts have, so that scaling acts
}
WITH_LATENTS = {
    "deepseek_v2": (
        DeepseekV2Config,
        DeepseekV2ForCausalLM,
        _LATENT
        | {
            "q_lora_rank": None,
            "topk_method": "group_limited_greedy",
            "norm_topk_prob": False,
            "routed_scaling_factor": 2.0,
        },
    ),
    "deepseek_v3": (
        DeepseekV3Config,
        DeepseekV3ForCausalLM,
        _LATENT
        | {
            "q_lora_rank": 48,
            "topk_method": "noaux_tc",
            "scoring_func": "sigmoid",
            "norm_topk_prob": True,
            "routed_scaling_factor": 2.5,
            "rope_parameters": _YARN,
        },
    ),
}
"""The same, for mixtures of experts with latent attention, without and with compressed queries."""

# With these no step of the tests' prompts has two tokens that are nearly equal.
_SEEDS = {
    "qwen2": 1,
    "qwen3": 1,
    "llama": 0,
    "qwen2_moe": 0,
    "qwen3_moe": 0,
    "mixtral": 0,
    "deepseek_v2": 0,
    "deepseek_v3": 0,
}


def make_model(family: str, folder: Path, scale: float = _WEIGHT_SCALE, **changes: object) -> Path:
    """Write a model with random weights and a byte-level tokenizer.

    Parameters
    ----------
    family
        Key of `FAMILIES`, `WITH_EXPERTS` or `WITH_LATENTS`.
    folder
        Where to; is made.
    scale
        Standard deviation of the weights.
    **changes
        Fields of the model's configuration.
    """
    config_class, model_class, specifics = (FAMILIES | WITH_EXPERTS | WITH_LATENTS)[family]
    config = config_class(**{**COMMON_SHAPE, **specifics, **changes}, **_tokens(), dtype="float32")
    _write(model_class(config), folder, _SEEDS[family], scale)
    return folder


def make_model_of_row(row: Row, folder: Path) -> Path:
    """Write the model of a row of `models.toml`, with its tokenizer.

    Beside what vLLM is given, the folder has the model that transformers runs, in `REFERENCE`.
    """
    reference = folder / REFERENCE
    fields = {**COMMON_SHAPE, **row.config, **dict.fromkeys(row.without)}
    config = AutoConfig.for_model(row.type, **{**_tokens(), **fields}, dtype="float32")
    model = AutoModelForCausalLM.from_config(config).float()
    randomize(model, row.seed, _WEIGHT_SCALE)
    if row.embeddings:
        model.get_input_embeddings().weight.data.mul_(row.embeddings / _WEIGHT_SCALE)
    _save(model, reference)
    shutil.copytree(reference, folder, dirs_exist_ok=True)
    written = json.loads((folder / "config.json").read_text()) | dict(row.served)
    (folder / "config.json").write_text(json.dumps(written))
    if convert := CONVERTERS.get(written["architectures"][0]):
        weights = convert(load_file(reference / _WEIGHTS), config.head_dim)
        save_file({name: each.contiguous() for name, each in weights.items()}, folder / _WEIGHTS)
    return folder


def _tokens() -> dict[str, int | None]:
    """Fields of a model's configuration that name special tokens of its tokenizer."""
    tokenizer = make_byte_tokenizer()
    return {
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _write(model: PreTrainedModel, folder: Path, seed: int, scale: float) -> None:
    model = model.float()
    randomize(model, seed, scale)
    _save(model, folder)


def _save(model: PreTrainedModel, folder: Path) -> None:
    model.save_pretrained(folder)
    make_byte_tokenizer().save_pretrained(folder)


def make_device_model(family: str, folder: Path, **changes: object) -> Path:
    """Write a model that a device takes, in bf16: its attention has heads of 128."""
    heads = {"hidden_size": 512} if family == "qwen2" else {"head_dim": 128}  # qwen2 has none
    return make_model(family, folder, GENTLE_SCALE, **(heads | changes))


@torch.no_grad()
def randomize(model: torch.nn.Module, seed: int, scale: float) -> None:
    """Give a model random weights, norms and biases."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.normal_(0, scale, generator=generator)
        else:
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.normal_(0, 0.1, generator=generator)


def make_byte_tokenizer(more_special_tokens: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Make a tokenizer whose first 256 tokens are bytes, and the others special."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({byte: index for index, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([*_SPECIAL_TOKENS, *more_special_tokens])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = _CHAT_TEMPLATE
    return fast
