# SPDX-License-Identifier: Apache-2.0
"""The oracle: Hugging Face transformers on the CPU, one prompt at a time, in fp32."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

__all__ = ["Reference", "make_reference"]


@dataclass(frozen=True)
class Reference:
    """What the model answers.

    Attributes
    ----------
    tokens
        Greedy continuation of each prompt.
    first_logits
        Logits of the first new token of each prompt, ``[prompts, vocabulary]``.
    margin
        Smallest lead of a chosen token over the next best, over all steps. A tie would make
        equality of tokens a matter of luck.
    """

    tokens: list[list[int]]
    first_logits: torch.Tensor
    margin: float


def make_reference(model: Path, prompts: Sequence[Sequence[int]], new_tokens: int) -> Reference:
    """Continue each prompt greedily by exactly `new_tokens` tokens."""
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    tokens, first_logits, margins = [], [], []
    for prompt in prompts:
        answer, logits = _continue(network, prompt, new_tokens)
        tokens.append(answer)
        first_logits.append(logits[0])
        best = logits.topk(2, dim=-1).values
        margins.append((best[:, 0] - best[:, 1]).min().item())
    return Reference(tokens, torch.stack(first_logits), min(margins))


@torch.no_grad()
def _continue(
    network: torch.nn.Module, prompt: Sequence[int], new_tokens: int
) -> tuple[list[int], torch.Tensor]:
    answer: list[int] = []
    rows: list[torch.Tensor] = []
    step, cache = torch.tensor([list(prompt)]), None
    for _ in range(new_tokens):
        output = network(step, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        rows.append(output.logits[0, -1])
        answer.append(int(rows[-1].argmax()))
        step = torch.tensor([[answer[-1]]])
    return answer, torch.stack(rows)
