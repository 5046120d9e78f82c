# SPDX-License-Identifier: Apache-2.0
"""Dropout of the weights of fused attention, against the formula written out, and its gradient."""

import pytest
import torch
import torch_npu
from support.aclnn import call, refusal
from support.attention import TRIANGLE, assert_near
from support.oracle import FLOATS, values
from torch import nn

KEEP, SCALE = 0.75, 0.25
UNLIMITED = 2147483647


def _attend(q, k, v, factors, masked=None):
    """Attend [head, token, size]; the weights are multiplied with `factors` after the softmax."""
    group = q.size(0) // k.size(0)
    k, v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
    scores = q @ k.mT * SCALE
    if masked is not None:
        scores = scores.masked_fill(masked, -torch.inf)
    return (scores.softmax(-1) * factors) @ v


def _with_gradients(q, k, v, dy, factors, masked=None):
    """The result and the gradients in float32, all [head, token, size]."""
    leaves = [t.float().requires_grad_(True) for t in (q, k, v)]
    out = _attend(*leaves, factors, masked)
    return [out.detach(), *torch.autograd.grad(out, leaves, dy.float())]


def _bits(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < KEEP


def _packed(bits):
    """Eight to a byte, from the lowest, as torch_npu has them: a multiple of 128 bits."""
    flat = torch.cat([bits.flatten(), torch.zeros(-bits.numel() % 128, dtype=torch.bool)])
    return (flat.view(-1, 8) * (1 << torch.arange(8))).sum(-1).to(torch.uint8).npu()


def _factors(bits):
    return bits.float() / KEEP


class _Rows:
    """What a device keeps of the softmax, eight times each number, and the results."""

    def __init__(self, rows, out, *inputs):
        self.maxima, self.sums = torch.zeros(*rows, 8).npu(), torch.zeros(*rows, 8).npu()
        self.out = torch.zeros_like(out)
        self.gradients = [torch.zeros_like(t) for t in inputs]


BACKWARD = {"aclnnFlashAttentionScoreGrad": ((None,), ()),
            "aclnnFlashAttentionScoreGradV2": ((None, None, None), (1,))}  # fmt: skip
"""Name of the gradient -> its arguments before and after those that all versions have."""


@pytest.mark.parametrize("backward", BACKWARD)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_weights_are_dropped_by_a_given_mask(causal, dtype, backward):
    batch, heads, kv_heads, queries, keys, size = 2, 4, 2, 5, 37, 16
    q, dy = (values(batch, heads, queries, size, dtype=dtype, seed=s) for s in (0, 3))
    k, v = (values(batch, kv_heads, keys, size, dtype=dtype, seed=s) for s in (1, 2))
    bits = _bits(batch, heads, queries, keys)
    on_npu = [t.npu() for t in (q, k, v)]
    rows = _Rows((batch, heads, queries), on_npu[0], *on_npu)
    masks = (None, _packed(bits), None, TRIANGLE.npu() if causal else None)
    mode = 3 if causal else 0
    attributes = (SCALE, KEEP, UNLIMITED, UNLIMITED, heads, b"BNSD", 0, mode)
    call("aclnnFlashAttentionScore", *on_npu, *masks, None, *attributes,
         rows.maxima, rows.sums, None, rows.out)  # fmt: skip
    before, after = BACKWARD[backward]
    call(backward, *on_npu, dy.npu(), *masks, rows.maxima, rows.sums, None, rows.out,
         *before, *attributes, *after, *rows.gradients, None)  # fmt: skip

    masked = torch.ones(queries, keys, dtype=torch.bool).triu(keys - queries + 1)
    expected = [
        _with_gradients(q[i], k[i], v[i], dy[i], _factors(bits[i]), masked if causal else None)
        for i in range(batch)
    ]
    for actual, wanted in zip(
        (rows.out, *rows.gradients), map(torch.stack, zip(*expected, strict=True)), strict=True
    ):
        assert_near(actual, wanted)


@pytest.mark.parametrize("version", ["", "V2"])
def test_weights_of_packed_sequences_are_dropped_one_sequence_after_the_other(version):
    lengths, heads, size = [(3, 5), (40, 33), (1, 7)], 2, 16
    queries, keys = (sum(pair[i] for pair in lengths) for i in (0, 1))
    q, dy = (values(queries, heads, size, seed=s) for s in (0, 3))
    k, v = (values(keys, heads, size, seed=s) for s in (1, 2))
    bits = [_bits(heads, *pair, seed=i) for i, pair in enumerate(lengths)]
    ends = [torch.tensor([pair[i] for pair in lengths]).cumsum(0).tolist() for i in (0, 1)]
    on_npu = [t.npu() for t in (q, k, v)]
    rows = _Rows((heads, queries), on_npu[0], *on_npu)
    masks = (None, _packed(torch.cat([b.flatten() for b in bits])), None, None)
    starts, pse = ((None, None), (1,)) if version else ((), ())
    attributes = (SCALE, KEEP, UNLIMITED, UNLIMITED, heads, b"TND", 0, 0, *pse)
    call(f"aclnnFlashAttentionVarLenScore{version}", *on_npu, *masks, None, *ends, *starts,
         *attributes, rows.maxima, rows.sums, None, rows.out)  # fmt: skip
    call(f"aclnnFlashAttentionUnpaddingScoreGrad{version}", *on_npu, dy.npu(), *masks,
         rows.maxima, rows.sums, None, rows.out, None, *ends, *starts, *attributes,
         *rows.gradients, None)  # fmt: skip

    splits = [[pair[i] for pair in lengths] for i in (0, 1, 1, 0)]
    parts = zip(*(t.split(s) for t, s in zip((q, k, v, dy), splits, strict=True)), strict=True)
    expected = [
        _with_gradients(*(t.transpose(0, 1) for t in part), _factors(own))
        for part, own in zip(parts, bits, strict=True)
    ]
    for actual, wanted in zip(
        (rows.out, *rows.gradients), zip(*expected, strict=True), strict=True
    ):
        assert_near(actual, torch.cat([w.transpose(0, 1) for w in wanted]))


def _drawn(attend, queries, keys, heads):
    """What `attend` multiplies the weights with: given equal scores, and values of one key each."""
    q, k = torch.zeros(2, heads, queries, keys), torch.zeros(2, heads, keys, keys)
    v = torch.eye(keys).expand(2, heads, keys, keys)
    return attend(*(t.contiguous().npu() for t in (q, k, v)))[0].cpu() * keys


@pytest.mark.parametrize("function", ["npu_fusion_attention", "npu_fusion_attention_v2"])
@pytest.mark.parametrize("keep", [0.9, 0.5])
def test_drawn_weights_are_dropped_the_same_way_by_the_gradient(keep, function):
    queries, keys, heads = 40, 64, 4

    def attend(q, k, v):
        torch.npu.manual_seed(7)
        return getattr(torch_npu, function)(
            q, k, v, head_num=heads, input_layout="BNSD", scale=SCALE, keep_prob=keep
        )

    factors = _drawn(attend, queries, keys, heads)
    stays = factors > 0
    assert stays.float().mean().item() == pytest.approx(keep, abs=0.02)
    torch.testing.assert_close(factors, stays / keep)

    q, dy = (values(2, heads, queries, keys, seed=s) for s in (0, 3))
    k, v = (values(2, heads, keys, keys, seed=s) for s in (1, 2))
    leaves = [t.npu().requires_grad_(True) for t in (q, k, v)]
    out = attend(*leaves)[0]
    out.backward(dy.npu())
    expected = [_with_gradients(q[i], k[i], v[i], dy[i], factors[i]) for i in range(2)]
    wanted = [torch.stack(parts) for parts in zip(*expected, strict=True)]
    for actual, right in zip([out, *(t.grad for t in leaves)], wanted, strict=True):
        torch.testing.assert_close(actual.detach().cpu(), right, rtol=1e-4, atol=1e-4)


def test_950_draws_what_is_dropped_in_the_operator_itself():
    """From a seed and an offset, the same for the gradient, unless a mask is given."""
    queries, keys, heads = 9, 32, 2
    q, dy = (values(2, heads, queries, keys, seed=s) for s in (0, 3))
    k, v = (values(2, heads, keys, keys, seed=s) for s in (1, 2))
    rows = _Rows((2, heads, queries), q.npu(), q.npu(), k.npu(), v.npu())
    absent = (None,) * 4
    where = (SCALE, KEEP, UNLIMITED, UNLIMITED, heads, b"BNSD")

    def attend(*tensors, seed=5):
        call("aclnnFlashAttentionScoreV4", *tensors, *absent, *(None,) * 6, *(None,) * 5, *where,
             0, 0, 0, 1, b"", seed, 10, rows.maxima, rows.sums, None, rows.out)  # fmt: skip
        return (rows.out.clone(),)

    factors = _drawn(attend, queries, keys, heads)
    assert (factors > 0).float().mean().item() == pytest.approx(KEEP, abs=0.05)
    other = _drawn(lambda *tensors: attend(*tensors, seed=6), queries, keys, heads)
    assert not torch.equal(other, factors)

    on_npu = [t.npu() for t in (q, k, v)]
    (out,) = attend(*on_npu)
    call("aclnnFlashAttentionScoreGradV4", *on_npu, dy.npu(), *absent, rows.maxima, rows.sums, None,
         rows.out, *(None,) * 8, *(None,) * 5, *where, b"", 0, 0, 1, 5, 10, 0, *rows.gradients,
         *(None,) * 4)  # fmt: skip
    expected = [_with_gradients(q[i], k[i], v[i], dy[i], factors[i]) for i in range(2)]
    wanted = [torch.stack(parts) for parts in zip(*expected, strict=True)]
    for actual, right in zip([out, *rows.gradients], wanted, strict=True):
        torch.testing.assert_close(actual.cpu(), right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("keep", "mask", "text"),
    [
        (0.0, None, "keepProb must be above 0"),
        (0.5, None, "dropMask must be given"),
        (0.5, torch.zeros(7, dtype=torch.uint8), "a bit for each of 64 weights"),
        (0.5, torch.zeros(16), "dropMask must be uint8"),
    ],
)
def test_dropout_that_cannot_be_is_refused(keep, mask, text):
    x = torch.zeros(1, 1, 8, 16).npu()
    rows = torch.zeros(1, 1, 8, 8).npu()
    status, message = refusal(
        "aclnnFlashAttentionScore", x, x, x, None, mask if mask is None else mask.npu(), None, None,
        None, SCALE, keep, UNLIMITED, UNLIMITED, 1, b"BNSD", 0, 0, rows, rows, None, x,
    )  # fmt: skip
    assert status == 161002
    assert text in message


class _Decoder(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(32, 4, 64, dropout=0.1, **options)

    def forward(self, x):
        return self.layer(x, x * 0.5)


LAYERS = {
    "encoder": lambda **options: nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, **options),
    "decoder": _Decoder,
    "attention": lambda **options: nn.TransformerEncoderLayer(32, 2, 32, dropout=0.5, **options),
}


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_stock_layers_train(name, batch_first):
    """Given layers of torch.nn in training mode, the loss of a small problem falls."""
    torch.manual_seed(0)
    torch.npu.manual_seed(0)
    layer = LAYERS[name](batch_first=batch_first).npu()
    x, target = values(6, 4, 32).npu(), values(6, 4, 32, seed=1).npu()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (layer(x) - target).square().mean()
        loss.backward()
        assert all(p.grad.isfinite().all().item() for p in layer.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])
    assert not torch.equal(layer(x).detach().cpu(), layer(x).detach().cpu())
