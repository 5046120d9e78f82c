# SPDX-License-Identifier: Apache-2.0
"""The independent answer: the tokens that Hugging Face transformers allows in bf16.

Another order of the same operations rounds otherwise, and may choose another token where two are
nearly equal. How far logits move is measured on transformers itself: it computes them in bf16 and
in fp32, and the root mean square of the differences, over the vocabulary, is the deviation of one
logit. That of a difference of two is √2 times as large; six of these deviations are the bound.
What is compared is one position at a time, behind the tokens that the engine chose before, so that
one legitimate difference does not change what is expected of the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

__all__ = ["Verdict", "compare", "judge"]

_DEVIATIONS = 6.0


@dataclass(frozen=True)
class Verdict:
    """What the reference says of the tokens of some answers.

    Attributes
    ----------
    wrong
        ``(answer, position)`` of each token whose logit is further below the best one than the
        bound.
    decided
        Share of the positions where only one token is allowed.
    preferred
        The tokens that the reference puts in the places of each answer's.
    """

    wrong: list[tuple[int, int]]
    decided: float
    preferred: list[list[int]]


def judge(
    model: Path, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]
) -> Verdict:
    """Compare greedy answers in bf16 with transformers on the CPU, position by position."""
    exact, rounded = _networks(model)
    logits = [
        (_logits(exact, prompt, answer), _logits(rounded, prompt, answer))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    return compare(logits, answers)


def compare(
    logits: Sequence[tuple[torch.Tensor, torch.Tensor]], answers: Sequence[Sequence[int]]
) -> Verdict:
    """Compare greedy answers with logits of a reference.

    Parameters
    ----------
    logits
        Of each answer: for each of its tokens, given all before it, in fp32 and in bf16; shape
        ``[tokens, vocabulary]``, float32.
    answers
        Tokens.
    """
    wrong, preferred, decided, positions = [], [], 0, 0
    for number, ((exact, rounded), answer) in enumerate(zip(logits, answers, strict=True)):
        bound = _DEVIATIONS * 2**0.5 * (rounded - exact).square().mean(-1).sqrt()
        best, second = exact.topk(2, dim=-1).values.unbind(-1)
        chosen = exact.gather(-1, torch.tensor(answer).unsqueeze(-1)).squeeze(-1)
        wrong += [(number, int(at)) for at in torch.nonzero(best - chosen > bound)]
        preferred.append(exact.argmax(-1).tolist())
        decided += int((best - second > bound).sum())
        positions += len(answer)
    return Verdict(wrong, decided / positions, preferred)


@cache
def _networks(model: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Load a model in fp32 and in bf16."""
    exact, rounded = (
        AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval()
        for dtype in (torch.float32, torch.bfloat16)
    )
    return exact, rounded


@torch.no_grad()
def _logits(network: torch.nn.Module, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
    """Logits of each token of the answer, given all before it, ``[tokens, vocabulary]``."""
    tokens = torch.tensor([[*prompt, *answer[:-1]]])
    return network(tokens, use_cache=False).logits[0, len(prompt) - 1 :].float()
