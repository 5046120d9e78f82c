# SPDX-License-Identifier: Apache-2.0
"""Attention of packed requests, and of parts put together, is the formula in float64."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

from ascend_ops import OperatorArgumentError, merge_attention, packed_attention

HEADS, KEY, VALUE, SCALE = 3, 192, 128, 0.1
QUERIES, KEYS = [5, 1, 3], [9, 1, 20]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
# A device takes no float32.
CASES = [
    pytest.param("cpu", torch.float32),
    pytest.param("cpu", torch.bfloat16),
    pytest.param("npu", torch.bfloat16, marks=pytest.mark.npu),
]


def draw(*shape, seed, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def ends(lengths):
    return torch.tensor(lengths).cumsum(0).tolist()


def attend(query, key, value, causal):
    """In float64, from the formula: results and log-sum-exps of one request."""
    results, sums = [], []
    for row, heads in enumerate(query.double()):
        seen = len(key) - (len(query) - row - 1) * causal
        scores = torch.einsum("hd,khd->hk", heads, key[:seen].double()) * SCALE
        results.append(torch.einsum("hk,khd->hd", scores.softmax(-1), value[:seen].double()))
        sums.append(scores.logsumexp(-1))
    return torch.stack(results), torch.stack(sums)


def operands(dtype=torch.float32):
    return (
        draw(sum(QUERIES), HEADS, KEY, seed=0, dtype=dtype),
        draw(sum(KEYS), HEADS, KEY, seed=1, dtype=dtype),
        draw(sum(KEYS), HEADS, VALUE, seed=2, dtype=dtype),
    )


def assert_near(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(
        actual.cpu().double(), expected.double(), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize(("device", "dtype"), CASES, indirect=["device"])
@pytest.mark.parametrize("causal", [False, True])
def test_a_query_sees_the_keys_of_its_request(causal, dtype, device):
    query, key, value = operands(dtype)

    result, log_sum_exp = packed_attention(
        *(each.to(device) for each in (query, key, value)),
        ends(QUERIES), ends(KEYS), SCALE, causal=causal,
    )  # fmt: skip

    parts = zip(query.split(QUERIES), key.split(KEYS), value.split(KEYS), strict=True)
    expected, sums = zip(*(attend(*part, causal) for part in parts), strict=True)
    assert (result.dtype, log_sum_exp.dtype) == (dtype, torch.float32)
    assert_near(result, torch.cat(expected), TOLERANCE[dtype])
    assert_near(log_sum_exp, torch.cat(sums), TOLERANCE[dtype])


@pytest.mark.parametrize(("device", "dtype"), CASES, indirect=["device"])
def test_parts_that_are_added_one_by_one_are_attention_to_all_keys(dtype, device):
    # Given attention to three parts of 40 keys, whose scores differ much
    query, key, value = (draw(n, HEADS, KEY, seed=n, dtype=dtype) for n in (7, 40, 41))
    value = value[:40, :, :VALUE]
    parts = []
    for first, stop in [(0, 4), (4, 25), (25, 40)]:
        parts.append(
            packed_attention(
                query.to(device),
                key[first:stop].to(device),
                value[first:stop].to(device),
                [7],
                [stop - first],
                SCALE,
                causal=False,
            )
        )

    # When they are put together, at once and one by one
    at_once = merge_attention(parts)
    one_by_one = merge_attention([merge_attention(parts[:2]), parts[2]])

    # Then both are attention to all keys
    expected, sums = attend(query, key, value, causal=False)
    for result, log_sum_exp in (at_once, one_by_one):
        assert result.dtype == dtype
        assert_near(result, expected, TOLERANCE[dtype])
        assert_near(log_sum_exp, sums, TOLERANCE[dtype])
    assert (at_once[0].cpu() - sum(part[0].cpu() for part in parts) / 3).abs().max() > 0.1


def test_a_part_with_scores_far_below_adds_nothing_and_overflows_nowhere(device):
    result = torch.ones(2, HEADS, VALUE)
    high, low = torch.full((2, HEADS), 300.0), torch.full((2, HEADS), -300.0)

    merged, log_sum_exp = merge_attention(
        [(result.to(device), high.to(device)), (result.to(device) * 5, low.to(device))]
    )

    assert_near(merged, result)
    assert_near(log_sum_exp, high)


def test_fake_tensors_pass_through_without_data():
    query_ends, key_ends, tensors = ends(QUERIES), ends(KEYS), operands(torch.bfloat16)
    with FakeTensorMode() as mode:
        query, key, value = (mode.from_tensor(each) for each in tensors)
        part = packed_attention(query, key, value, query_ends, key_ends, SCALE, causal=True)
        result, log_sum_exp = merge_attention([part, part])

    assert (result.shape, result.dtype) == ((9, HEADS, VALUE), torch.bfloat16)
    assert (log_sum_exp.shape, log_sum_exp.dtype) == ((9, HEADS), torch.float32)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"key": torch.zeros(30, HEADS, KEY + 1)}, "query, key and value must be"),
        ({"value": torch.zeros(30, HEADS, VALUE).half()}, "torch.float16"),
        ({"query_ends": [5, 4, 9]}, "query_ends must increase to 9"),
        ({"key_ends": [9, 10, 29]}, "key_ends must increase to 30"),
        ({"key_ends": [30]}, "as many keys as queries"),
        ({"key_ends": [4, 10, 30]}, "as many keys as queries"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, text):
    names = ("query", "key", "value", "query_ends", "key_ends", "scale")
    arguments = dict(zip(names, [*operands(), ends(QUERIES), ends(KEYS), SCALE], strict=True))

    with pytest.raises(OperatorArgumentError, match=text):
        packed_attention(**(arguments | changes), causal=True)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([], "1 to 16 parts, not 0"),
        ([(torch.zeros(2, 3, 8), torch.zeros(2, 3))] * 17, "1 to 16 parts, not 17"),
        ([(torch.zeros(2, 3, 8), torch.zeros(3, 2))], "parts must be"),
        ([(torch.zeros(2, 3, 8), torch.zeros(2, 3).half())], "parts must be"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, text):
    with pytest.raises(OperatorArgumentError, match=text):
        merge_attention(parts)
