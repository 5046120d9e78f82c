# SPDX-License-Identifier: Apache-2.0
"""The independent answer: Hugging Face transformers on the CPU, fp32, one request at a time."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from demo.traffic import Answer

__all__ = ["mismatches"]


@torch.inference_mode()
def mismatches(model: Path, answers: Sequence[Answer]) -> list[tuple[Answer, list[int]]]:
    """Return each answer whose tokens differ, with the tokens of the reference."""
    reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    different = []
    for answer in answers:
        prompt = torch.tensor([answer.prompt_ids])
        generated = reference.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=len(answer.token_ids),
            do_sample=False,
        )
        expected = generated[0, prompt.shape[1] :].tolist()
        if expected != answer.token_ids:
            different.append((answer, expected))
    return different
