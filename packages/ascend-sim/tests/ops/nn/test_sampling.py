# SPDX-License-Identifier: Apache-2.0
"""What a sampler does, as vLLM's does it."""

import pytest
import torch
import torch_npu
from support.aclnn import call
from support.oracle import FLOATS, assert_same, values


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
    def penalize(logits, tokens, repetition, frequency, presence):
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
        penalize, values(3, 12), tokens, torch.tensor([1.0, 1.2, 2.0]), torch.rand(3), torch.rand(3)
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


# --- npu_top_k_top_p_sample -----------------------------------------------------------------------


def sample(logits, top_k, top_p, **options):
    """Call the operator with a limit for each row, None being none."""
    k = torch.tensor([0 if k is None else k for k in top_k], dtype=torch.int32)
    p = torch.tensor([1.0 if p is None else p for p in top_p]).to(logits.dtype)
    options = {n: v.npu() if isinstance(v, torch.Tensor) else v for n, v in options.items()}
    results = torch_npu.npu_top_k_top_p_sample(logits.npu(), k.npu(), p.npu(), **options)
    return [result.cpu() for result in results]


LIKELY = torch.tensor([[0.1, 0.4, 0.05, 0.25, 0.2]])
"""In descending order the tokens are 1, 3, 4, 0, 2; their sums 0.4, 0.65, 0.85, 0.95, 1."""


@pytest.mark.parametrize(
    ("k", "p", "kept"),
    [
        (None, None, [0, 1, 2, 3, 4]),
        (2, None, [1, 3]),
        (2000, None, [0, 1, 2, 3, 4]),
        (None, 0.6, [1, 3]),
        (None, 0.0, [1]),
        (3, 0.99, [1, 3, 4]),
        (3, 0.5, [1, 3]),
    ],
)
def test_sample_keeps_the_likeliest_tokens(k, p, kept):
    _, logits = sample(LIKELY.log(), [k], [p], is_need_logits=True)
    stays = torch.isin(torch.arange(5), torch.tensor(kept))
    expected = LIKELY.log().masked_fill(~stays, -torch.inf)
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_sample_without_noise_is_the_likeliest_token(dtype):
    logits = values(7, 300, dtype=dtype)
    selected, _ = sample(logits, [None, 1, 50, 7, None, 3, 2], [None, 0.5, 0.9] * 2 + [1.0])
    assert torch.equal(selected, logits.argmax(-1))


def test_noise_divides_the_probabilities_in_descending_order():
    noise = torch.empty(1, 5).exponential_(generator=torch.Generator().manual_seed(0))
    noise[0, 2] = 1e-6  # the third likeliest token is 4
    assert sample(LIKELY.log(), [None], [None], q=noise)[0].item() == 4
    assert sample(LIKELY.log(), [2], [None], q=noise)[0].item() in (1, 3)


@pytest.mark.parametrize(
    ("ks_max", "k", "kept"), [(16, 16, 16), (16, 17, 100), (9, 16, 16), (1024, 50, 50)]
)
def test_a_top_k_beyond_the_largest_is_no_limit(ks_max, k, kept):
    """The largest is rounded up to a multiple of 8."""
    _, logits = sample(values(1, 100), [k], [None], is_need_logits=True, ks_max=ks_max)
    assert logits.isfinite().sum() == kept


@pytest.mark.parametrize(("eps", "token"), [(0.5, 4), (2.0, 1)])
def test_eps_is_added_to_the_noise(eps, token):
    noise = torch.tensor([[1.0, 0.8, 0.02, 0.5, 0.4]])
    assert sample(LIKELY.log(), [None], [None], q=noise, eps=eps)[0].item() == token


@pytest.mark.parametrize("dtype", FLOATS[1:], ids=str)
@pytest.mark.parametrize("eps", [1e-8, 0.5, 2.0])
def test_first_version_of_the_sample(eps, dtype):
    """The limits of rows, and noise with `eps`; torch_npu calls the second version if it can."""
    kept = [[1, 3, 4, 0, 2], [1, 3, 4], [1, 3]]  # by no limit, by top_k, by top_p
    top_k, top_p = torch.tensor([0, 3, 0], dtype=torch.int32), torch.tensor([1.0, 1.0, 0.6])
    noise = torch.tensor(
        [[1.0, 0.8, 0.02, 0.5, 0.4], [1.0, 0.1, 0.8, 0.001, 0.001], [0.5, 0.01, 0.001, 1.0, 1.0]]
    )
    logits = LIKELY.log().to(dtype).expand(3, -1).contiguous()
    selected = torch.full((3,), -1, dtype=torch.int64).npu()
    stay = torch.zeros(3, 5).npu()
    call(
        "aclnnTopKTopPSample",
        *(logits.npu(), top_k.npu(), top_p.to(dtype).npu(), noise.npu(), eps, True, 32),
        *(selected, stay),
    )
    for i, tokens in enumerate(kept):
        score = LIKELY[0, tokens] / (noise[i, : len(tokens)] + eps)
        assert selected[i].item() == tokens[score.argmax()]
        hidden = ~torch.isin(torch.arange(5), torch.tensor(tokens))
        assert torch.equal(stay[i].cpu(), logits[i].float().masked_fill(hidden, -torch.inf))


def test_probabilities_are_taken_as_they_are():
    selected, kept = sample(LIKELY, [2], [None], is_need_logits=True, input_is_logits=False)
    assert selected.item() == 1
    torch.testing.assert_close(kept, torch.tensor([[0, 0.4, 0, 0.25, 0]]))


@pytest.mark.parametrize(("min_p", "kept"), [(0.0, 5), (0.3, 3), (0.6, 2), (1.0, 1)])
def test_min_p_drops_what_is_unlikely_beside_the_likeliest(min_p, kept):
    _, logits = sample(
        LIKELY.log(), [None], [None], min_ps=torch.tensor([min_p]), is_need_logits=True
    )
    assert logits.isfinite().sum() == kept


def test_tokens_are_drawn_as_often_as_they_are_likely():
    torch.npu.manual_seed(0)
    rows = 4000
    selected, _ = sample(
        LIKELY.log().expand(rows, -1).contiguous(),
        [3] * rows,
        [None] * rows,
        post_sample="multiNomial",
    )
    share = torch.bincount(selected, minlength=5) / rows
    expected = torch.tensor([0, 0.4, 0, 0.25, 0.2]) / 0.85
    torch.testing.assert_close(share, expected, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ("k", "p", "text"),
    [
        (torch.int64, torch.float32, "topK must be int32"),
        (torch.int32, torch.float16, "topP must be float32 .as logits."),
    ],
)
def test_dtypes_that_the_sample_does_not_take_are_refused(k, p, text):
    # npu_top_k_top_p_sample.md, the parameters top_k and top_p.
    arguments = LIKELY.npu(), torch.ones(1, dtype=k).npu(), torch.ones(1, dtype=p).npu()
    with pytest.raises(RuntimeError, match=text):
        _sample_and_wait(*arguments)


def _sample_and_wait(*arguments):
    torch_npu.npu_top_k_top_p_sample(*arguments)
    torch.npu.synchronize()
