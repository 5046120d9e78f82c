# SPDX-License-Identifier: Apache-2.0
"""Routing of a mixture of experts by a map of tokens and experts, and its gradients.

The reference is written with indices of pairs, and differentiated by torch on the CPU.
"""

import pytest
import torch
import torch_npu
from support.oracle import FLOATS, run_and_wait, values

TOKENS, HIDDEN, EXPERTS, K = 6, 8, 4, 2
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def _map(seed=0):
    """Every token has K experts."""
    generator = torch.Generator().manual_seed(seed)
    routing = torch.zeros(TOKENS, EXPERTS, dtype=torch.bool)
    for row in routing:
        row[torch.randperm(EXPERTS, generator=generator)[:K]] = True
    return routing


def _pairs(routing, capacity=None):
    """Token and expert of every place, expert by expert.

    Parameters
    ----------
    capacity
        Places of an expert: its tokens, then others, in their order. None: as many as tokens.
    """
    pairs = []
    for expert in range(EXPERTS):
        own = [t for t in range(TOKENS) if routing[t, expert]]
        others = [t for t in range(TOKENS) if not routing[t, expert]]
        places = own if capacity is None else (own + others)[:capacity]
        pairs += [(t, expert) for t in places]
    return torch.tensor(pairs).unbind(1)


def _close(actual, expected):
    limit = TOLERANCE[actual.dtype]
    torch.testing.assert_close(actual.cpu(), expected.to(actual.dtype), rtol=limit, atol=limit)


def _leaves(*tensors):
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


CASES = pytest.mark.parametrize("capacity", [None, 4], ids=["all", "capacity"])


@CASES
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("map_dtype", [torch.bool, torch.int8], ids=str)
def test_tokens_are_permuted_by_expert(dtype, map_dtype, capacity):
    routing, tokens = _map(), values(TOKENS, HIDDEN, dtype=dtype)
    probs = values(TOKENS, EXPERTS, dtype=dtype, seed=1)
    count = TOKENS * K if capacity is None else EXPERTS * capacity
    rows, row_probs, indices = torch_npu.npu_moe_token_permute_with_routing_map(
        tokens.npu(),
        routing.to(map_dtype).npu(),
        probs=probs.npu(),
        num_out_tokens=count,
        drop_and_pad=capacity is not None,
    )
    token, expert = _pairs(routing, capacity)
    assert torch.equal(rows.cpu(), tokens[token])
    assert torch.equal(row_probs.cpu(), probs[token, expert])
    if capacity is None:  # the places of the first token, then of the second...
        assert indices.tolist() == token.argsort(stable=True).tolist()
    else:
        assert indices.tolist() == token.tolist()


@CASES
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_gradients_of_permutation(dtype, capacity):
    routing = _map(seed=3)
    tokens, probs = (
        values(TOKENS, HIDDEN, dtype=dtype),
        values(TOKENS, EXPERTS, dtype=dtype, seed=1),
    )
    token, expert = _pairs(routing, capacity)
    weights, prob_weights = values(len(token), HIDDEN, seed=5), values(len(token), seed=6)

    expected = _leaves(tokens.float(), probs.float())
    loss = (expected[0][token] * weights).sum() + (expected[1][token, expert] * prob_weights).sum()
    loss.backward()

    actual = _leaves(tokens.npu(), probs.npu())
    rows, row_probs, _ = torch_npu.npu_moe_token_permute_with_routing_map(
        actual[0],
        routing.npu(),
        probs=actual[1],
        num_out_tokens=len(token),
        drop_and_pad=capacity is not None,
    )
    torch.autograd.backward(
        [rows, row_probs], [weights.to(dtype).npu(), prob_weights.to(dtype).npu()]
    )
    for got, want in zip(actual, expected, strict=True):
        _close(got.grad, want.grad)


@CASES
@pytest.mark.parametrize("weighted", [False, True], ids=["sums", "weighted"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_results_come_back_to_their_tokens_with_gradients(dtype, weighted, capacity):
    routing = _map(seed=4)
    token, expert = _pairs(routing, capacity)
    rows = values(len(token), HIDDEN, dtype=dtype)
    probs = values(TOKENS, EXPERTS, dtype=dtype, seed=1)
    weights = values(TOKENS, HIDDEN, seed=5).to(dtype)

    expected = _leaves(rows.float(), probs.float())
    factors = expected[1][token, expert].unsqueeze(1) if weighted else 1
    out = torch.zeros(TOKENS, HIDDEN).index_add(0, token, expected[0] * factors)
    (out * weights.float()).sum().backward()

    indices = token.argsort(stable=True) if capacity is None else token
    actual = _leaves(rows.npu(), probs.npu())
    back = torch_npu.npu_moe_token_unpermute_with_routing_map(
        actual[0],
        indices.int().npu(),
        [TOKENS, HIDDEN],
        probs=actual[1] if weighted else None,
        routing_map=routing.npu(),
        drop_and_pad=capacity is not None,
    )
    _close(back.detach(), out.detach())
    back.backward(weights.npu())
    _close(actual[0].grad, expected[0].grad)
    if weighted:
        _close(actual[1].grad, expected[1].grad)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"probs": (TOKENS, EXPERTS + 1)}, "probs must have routingMap's shape"),
        ({"num_out_tokens": 4 * (TOKENS + 1), "drop_and_pad": True}, "numOutTokens must give each"),
    ],
)
def test_permutation_refuses(arguments, text):
    arguments = {
        name: values(*value).npu() if isinstance(value, tuple) else value
        for name, value in arguments.items()
    }
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(
            torch_npu.npu_moe_token_permute_with_routing_map,
            values(TOKENS, HIDDEN).npu(),
            _map().npu(),
            **{"num_out_tokens": TOKENS * K} | arguments,
        )
