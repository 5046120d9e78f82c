# SPDX-License-Identifier: Apache-2.0
"""What a sampler does, as vLLM's does it."""

import pytest
import torch
import torch_npu
from _oracle import assert_same, values


def _top_k_top_p(logits, p, k):
    ordered, order = logits.sort(dim=-1, stable=True)
    if k is not None:
        threshold = ordered.gather(1, (ordered.size(1) - k.long()).unsqueeze(1))
        ordered = ordered.masked_fill(ordered < threshold, -torch.inf)
    if p is not None:
        hidden = ordered.softmax(-1).cumsum(-1) <= 1 - p.unsqueeze(1)
        hidden[:, -1] = False
        ordered = ordered.masked_fill(hidden, -torch.inf)
    return torch.empty_like(logits).scatter_(1, order, ordered)


@pytest.mark.parametrize("with_k", [False, True])
@pytest.mark.parametrize("with_p", [False, True])
def test_top_k_top_p_masks_the_rest(with_k, with_p):
    logits = values(4, 60) * 3
    p = torch.tensor([0.1, 0.5, 0.9, 1.0]) if with_p else None
    k = torch.tensor([1, 60, 5, 20], dtype=torch.int32) if with_k else None
    actual = torch_npu.npu_top_k_top_p(
        logits.npu(), None if p is None else p.npu(), None if k is None else k.npu()
    )
    assert torch.equal(actual.cpu(), _top_k_top_p(logits, p, k))


def test_penalties_equal_cpu():
    def penalise(logits, tokens, repetition, frequency, presence):
        counts = torch.zeros(
            logits.size(0), logits.size(1) + 1, dtype=torch.long, device=logits.device
        )
        counts.scatter_add_(1, tokens, torch.ones_like(tokens))
        counts = counts[:, :-1]
        seen = counts > 0
        factor = torch.where(seen, repetition.unsqueeze(1), 1.0)
        logits *= torch.where(logits > 0, 1.0 / factor, factor)
        logits -= frequency.unsqueeze(1) * counts
        return logits - presence.unsqueeze(1) * seen

    tokens = values(3, 6, dtype=torch.int64)
    assert_same(
        penalise, values(3, 12), tokens, torch.tensor([1.0, 1.2, 2.0]), torch.rand(3), torch.rand(3)
    )


def test_min_p_logprobs_and_bitmask_equal_cpu():
    def min_p(logits):
        probabilities = logits.softmax(-1)
        limit = probabilities.amax(-1, keepdim=True) * 0.2
        return logits.masked_fill_(probabilities < limit, -torch.inf)

    def logprobs(logits):
        scores = logits.log_softmax(-1, dtype=torch.float32)
        top, index = scores.topk(5)
        token = logits.argmax(-1, keepdim=True)
        rank = (scores >= scores.gather(1, token)).sum(-1)
        return top, index, scores.gather(1, token), rank

    def bitmask(logits, words):
        bits = torch.arange(32, device=logits.device, dtype=torch.int32)
        # Expanded by hand: torch_npu gives the result of a shift the shape of its left operand.
        allowed = (
            ((words.unsqueeze(-1).expand(-1, -1, 32) >> bits) & 1)
            .flatten(1)[:, : logits.size(1)]
            .bool()
        )
        return logits.masked_fill(~allowed, -torch.inf)

    assert_same(min_p, values(3, 40))
    assert_same(logprobs, values(3, 40))
    assert_same(
        bitmask, values(2, 40), torch.tensor([[0x0F0F, 5], [0x7FFFFFFF, 3]], dtype=torch.int32)
    )


def test_random_sampling_prefers_what_is_likely():
    probabilities = torch.tensor([0.7, 0.2, 0.1, 0.0]).expand(4000, 4)
    noise = torch.empty(4000, 4, device="npu").exponential_()
    chosen = probabilities.npu().div(noise).argmax(-1).cpu()
    shares = torch.bincount(chosen, minlength=4) / 4000
    torch.testing.assert_close(shares, probabilities[0], rtol=0, atol=0.03)
