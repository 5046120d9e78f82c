# SPDX-License-Identifier: Apache-2.0
"""The independent answer: Hugging Face transformers on the CPU, one request at a time.

The server computes in bf16, where the best two tokens can be closer than its rounding. How far
logits move is measured on transformers itself, in bf16 and in fp32: the root mean square of the
differences is the deviation of one logit, √2 times it that of a difference of two, and a token is
wrong if its logit is more than six of these below the best. Each token is judged behind those that
the server chose before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from demo.traffic import Answer

__all__ = ["Verdict", "judge"]

_DEVIATIONS = 6.0


@dataclass(frozen=True)
class Verdict:
    """What the reference says of the answers.

    Attributes
    ----------
    wrong
        Each answer with a wrong token, and the tokens that the reference puts in their places.
    decided
        Share of the tokens for which bf16 leaves no choice.
    """

    wrong: list[tuple[Answer, list[int]]]
    decided: float


@torch.inference_mode()
def judge(model: Path, answers: Sequence[Answer]) -> Verdict:
    """Compare the tokens of answers with those of the reference."""
    exact, rounded = (
        AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval()
        for dtype in (torch.float32, torch.bfloat16)
    )
    wrong, decided, tokens = [], 0, 0
    for answer in answers:
        ids = torch.tensor([[*answer.prompt_ids, *answer.token_ids[:-1]]])
        first = len(answer.prompt_ids) - 1
        logits, noisy = (
            network(ids, use_cache=False).logits[0, first:].float() for network in (exact, rounded)
        )
        bound = _DEVIATIONS * 2**0.5 * (noisy - logits).square().mean(-1).sqrt()
        best, second = logits.topk(2, dim=-1).values.unbind(-1)
        chosen = logits.gather(-1, torch.tensor(answer.token_ids).unsqueeze(-1)).squeeze(-1)
        if (best - chosen > bound).any():
            wrong.append((answer, logits.argmax(-1).tolist()))
        decided += int((best - second > bound).sum())
        tokens += len(answer.token_ids)
    return Verdict(wrong, decided / tokens)
