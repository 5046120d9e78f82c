# SPDX-License-Identifier: Apache-2.0
"""Tiny random models that see, their images, and what transformers says of their answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForImageTextToText,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
)

from demo.reference import Verdict, compare
from support.models import GENTLE_SCALE, LAYERS, make_byte_tokenizer, randomize

__all__ = ["SEEING", "Question", "judge_seen", "make_questions", "make_seeing_model"]

_PATCH, _MERGE = 16, 2
_MOST_PIXELS = 128 * 128
_SPECIAL_TOKENS = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")
_TEXT = {
    "vocab_size": 320,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "max_position_embeddings": 1024,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
}
_VISION = {
    "depth": 3,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_heads": 2,
    "patch_size": _PATCH,
    "spatial_merge_size": _MERGE,
    "temporal_patch_size": 2,
    "out_hidden_size": _TEXT["hidden_size"],
    "num_position_embeddings": 36,
    "deepstack_visual_indexes": [0, 2],
}
_EXPERTS = {
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 96,  # no matrix is square, so its shape says how it is stored
    "decoder_sparse_step": 1,
    "norm_topk_prob": True,  # said, as in Qwen's own models: transformers does it always
    "mlp_only_layers": [],
}
_LAYOUTS = (
    (3, (128, 64), 20),
    (0, (64, 96), 1),
    (9, None, 0),
    (120, (96, 96), 40),  # across the border of a cache block
)
"""Of each question: words, width and height of the image that follows, words after it."""
SEEING = {
    "qwen3_vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration, {}),
    "qwen3_vl_moe": (Qwen3VLMoeConfig, Qwen3VLMoeForConditionalGeneration, _EXPERTS),
}
"""Configuration class, model class, and what the text part has besides."""


_SIZE = {"shortest_edge": (_PATCH * _MERGE) ** 2, "longest_edge": _MOST_PIXELS}
_PROCESSING = {
    "patch_size": _PATCH,
    "merge_size": _MERGE,
    "temporal_patch_size": 2,
    "size": _SIZE,
    # Said, as Qwen's own models do: vLLM does not ask transformers for what is left out.
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "processor_class": "Qwen3VLProcessor",
}


@dataclass(frozen=True)
class Question:
    """A prompt, with an image or without.

    Attributes
    ----------
    prompt
        Tokens, one of which stands for the image.
    image
        File of the image; None without.
    """

    prompt: list[int]
    image: str | None


def make_seeing_model(family: str, folder: Path) -> Path:
    """Write a model of `SEEING` with random weights, its tokenizer, and how images are prepared."""
    tokenizer = make_byte_tokenizer(_SPECIAL_TOKENS)
    start, image, end, video = tokenizer.convert_tokens_to_ids(list(_SPECIAL_TOKENS))
    config_class, model_class, more = SEEING[family]
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = config_class(
        text_config={**_TEXT, **more, "bos_token_id": None, **ends},
        vision_config=_VISION,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        dtype="float32",
    )
    model = model_class(config).float()
    randomize(model, seed=0, scale=GENTLE_SCALE)
    model.save_pretrained(folder)
    _store_experts_as_qwen(folder / "model.safetensors")
    tokenizer.save_pretrained(folder)
    for file, kind, name in (
        ("preprocessor_config.json", "image_processor_type", "Qwen2VLImageProcessor"),
        ("video_preprocessor_config.json", "video_processor_type", "Qwen3VLVideoProcessor"),
    ):
        (folder / file).write_text(json.dumps({**_PROCESSING, kind: name}))
    return folder


def _store_experts_as_qwen(file: Path) -> None:
    """Put the inputs of experts first, as vLLM reads them; transformers writes them last."""
    weights = load_file(file)
    for name in weights:
        if ".experts." in name:
            weights[name] = weights[name].transpose(1, 2).contiguous()
    save_file(weights, file, metadata={"format": "pt"})


def make_questions(folder: Path) -> list[Question]:
    """Draw images, of sizes that need not be changed, and ask about some of them."""
    generator = torch.Generator().manual_seed(11)
    start, image, end, _ = range(259, 263)
    questions = []
    for number, (before, size, after) in enumerate(_LAYOUTS):
        words = torch.randint(256, (before + after,), generator=generator).tolist()
        file = None
        if size:
            pixels = torch.randint(256, (size[1], size[0], 3), generator=generator)
            file = str(folder / f"{number}.png")
            Image.fromarray(pixels.to(torch.uint8).numpy()).save(file)
            words[before:before] = [start, image, end]
        questions.append(Question(words, file))
    return questions


def judge_seen(
    model: Path, questions: Sequence[Question], answers: Sequence[Sequence[int]]
) -> Verdict:
    """Compare greedy answers in bf16 with transformers on the CPU, position by position."""
    exact, rounded = _networks(model)
    logits = [
        (_logits(exact, question, answer), _logits(rounded, question, answer))
        for question, answer in zip(questions, answers, strict=True)
    ]
    return compare(logits, answers)


@cache
def _networks(model: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    exact, rounded = (
        AutoModelForImageTextToText.from_pretrained(model, dtype=dtype).eval()
        for dtype in (torch.float32, torch.bfloat16)
    )
    return exact, rounded


@torch.no_grad()
def _logits(network: Any, question: Question, answer: Sequence[int]) -> torch.Tensor:
    """Logits of each token of the answer, given all before it, ``[tokens, vocabulary]``."""
    tokens, pixels = question.prompt, {}
    mark = network.config.image_token_id
    if question.image:
        prepare = Qwen2VLImageProcessorPil(**_PROCESSING)
        pixels = dict(prepare(Image.open(question.image), return_tensors="pt"))
        at = tokens.index(mark)
        count = int(pixels["image_grid_thw"].prod()) // _MERGE**2
        tokens = [*tokens[:at], *[mark] * count, *tokens[at + 1 :]]
    ids = torch.tensor([[*tokens, *answer[:-1]]])
    output = network(ids, mm_token_type_ids=(ids == mark).int(), use_cache=False, **pixels)
    return output.logits[0, len(tokens) - 1 :].float()
