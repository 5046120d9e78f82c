# SPDX-License-Identifier: Apache-2.0
"""Attention to keys and values made of cached latents, in spans of bounded size."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

from ascend_ops import (
    KeySpan,
    LatentCache,
    LatentShape,
    OperatorArgumentError,
    attend_expanded,
    gather_latents,
    key_spans,
)

BLOCK = 16
SHAPE = LatentShape(heads=3, rank=12, rotated=16, plain=48, value=64)
SCALE = 0.15
QUERIES, KEYS = [2, 40, 1, 25, 3], [9, 150, 40, 25, 101]
MOST_KEYS = 50
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}
# A device takes no float32.
CASES = [
    pytest.param("cpu", torch.float32),
    pytest.param("cpu", torch.bfloat16),
    pytest.param("npu", torch.bfloat16, marks=pytest.mark.npu),
]


class Batch:
    """Requests whose latents are in a cache, in blocks that are not in order."""

    def __init__(self, dtype=torch.float32):
        random = torch.Generator().manual_seed(0)
        size = SHAPE.rank + SHAPE.rotated
        blocks = [-(-keys // BLOCK) for keys in KEYS]
        free = (torch.randperm(sum(blocks), generator=random) + 1).tolist()
        self.table = torch.zeros(len(KEYS), max(blocks), dtype=torch.int32)
        whole = torch.full((sum(blocks) + 1, BLOCK, size), 50.0).to(dtype)
        self.cache = LatentCache.of(whole, SHAPE.rank)
        self.tokens = [torch.randn(keys, size, generator=random).to(dtype) for keys in KEYS]
        for request, tokens in enumerate(self.tokens):
            for position, token in enumerate(tokens):
                block, row = position // BLOCK, position % BLOCK
                self.table[request, block] = self.table[request, block] or free.pop()
                self.cache.latents[self.table[request, block], row] = token[: SHAPE.rank]
                self.cache.rotated[self.table[request, block], row] = token[SHAPE.rank :]
        per_head = SHAPE.plain + SHAPE.value
        weight = torch.randn(SHAPE.heads * per_head, SHAPE.rank, generator=random)
        self.weight = (weight * SHAPE.rank**-0.5).to(dtype)  # keys and values of about 1
        self.query = torch.randn(
            sum(QUERIES), SHAPE.heads, SHAPE.plain + SHAPE.rotated, generator=random
        ).to(dtype)

    def expected(self):
        """In float64, from the formula, one query at a time."""
        matrices = self.weight.double().view(SHAPE.heads, -1, SHAPE.rank)
        results = []
        for query, tokens in zip(self.query.double().split(QUERIES), self.tokens, strict=True):
            latents, rotated = tokens.double().split([SHAPE.rank, SHAPE.rotated], dim=-1)
            plain, value = (matrices @ latents.T).split([SHAPE.plain, SHAPE.value], dim=1)
            for row, heads in enumerate(query):
                seen = len(tokens) - len(query) + row + 1
                scores = torch.einsum("hd,hdk->hk", heads[:, : SHAPE.plain], plain[:, :, :seen])
                scores = scores + heads[:, SHAPE.plain :] @ rotated[:seen].T
                weights = (scores * SCALE).softmax(-1)
                results.append(torch.einsum("hk,hdk->hd", weights, value[:, :, :seen]))
        return torch.stack(results)

    def attend(self, device, most_keys=MOST_KEYS):
        ends = torch.tensor(QUERIES).cumsum(0).tolist()
        weight, expansions = self.weight.to(device), []

        def expand(latents):
            expansions.append(len(latents))
            return torch.nn.functional.linear(latents, weight)

        spans = key_spans(ends, KEYS, self.table.to(device), BLOCK, most_keys)
        output = self.query.new_full((sum(QUERIES), SHAPE.heads, SHAPE.value), 7.0).to(device)
        cache = LatentCache.of(self.cache.whole.to(device), SHAPE.rank)
        attend_expanded(self.query.to(device), cache, expand, spans, SCALE, output)
        return output, expansions


@pytest.mark.parametrize(("device", "dtype"), CASES, indirect=["device"])
@pytest.mark.parametrize("most_keys", [2 * BLOCK, MOST_KEYS, 1000])
def test_each_query_sees_the_tokens_up_to_its_own(most_keys, dtype, device):
    batch = Batch(dtype)

    output, expansions = batch.attend(device, most_keys)

    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(
        output.cpu().double(), batch.expected(), rtol=tolerance, atol=tolerance
    )
    assert max(expansions) <= most_keys


@pytest.mark.parametrize("device", ["cpu"])
def test_parts_that_are_not_weighed_are_noticed(device, monkeypatch):
    from ascend_ops import _latent_attention

    batch = Batch()
    monkeypatch.setattr(_latent_attention, "merge_attention", lambda parts: parts[-1])

    output, _ = batch.attend(device)

    assert (output - batch.expected()).abs().max() > 0.1


class TestKeySpans:
    TABLE = torch.arange(40, dtype=torch.int32).view(4, 10)

    def spans(self, queries, keys, most_keys=64) -> list[KeySpan]:
        ends = torch.tensor(queries).cumsum(0).tolist()
        return key_spans(ends, keys, self.TABLE, BLOCK, most_keys)

    def test_requests_that_fit_are_read_together(self):
        first, second = self.spans([3, 20, 1], [10, 30, 40])

        assert (first.rows, first.query_ends, first.key_ends) == (slice(0, 23), [3, 23], [10, 40])
        assert first.block_table.tolist() == [[0, 1], [10, 11]]
        assert first.lengths.tolist() == [10, 30]
        assert (second.rows, second.query_ends, second.key_ends) == (slice(23, 24), [1], [40])
        assert first.is_last
        assert second.is_last

    def test_a_long_request_is_read_in_spans_of_whole_blocks_whose_last_has_the_queries(self):
        spans = self.spans([1, 33], [64, 150])

        assert [each.rows for each in spans] == [slice(0, 1), *[slice(1, 34)] * 3]
        assert [each.lengths.tolist() for each in spans] == [[64], [64], [32], [54]]
        assert [each.is_last for each in spans] == [True, False, False, True]
        assert [each.block_table.tolist() for each in spans[1:]] == [
            [[10, 11, 12, 13]],
            [[14, 15]],
            [[16, 17, 18, 19]],
        ]

    def test_queries_that_are_too_many_for_a_span_are_divided(self):
        spans = self.spans([100], [120])

        assert [(each.rows, each.lengths.tolist()) for each in spans] == [
            (slice(0, 48), [16]),
            (slice(0, 48), [52]),
            (slice(48, 96), [64]),
            (slice(48, 96), [52]),
            (slice(96, 100), [64]),
            (slice(96, 100), [56]),
        ]

    def test_requests_without_queries_are_left_out(self):
        assert [each.lengths.tolist() for each in self.spans([0, 4, 0], [7, 5, 0])] == [[5]]
        assert self.spans([0], [0]) == []

    def test_spans_of_less_than_two_blocks_are_refused(self):
        with pytest.raises(OperatorArgumentError, match="at least two blocks of 16, not 31"):
            self.spans([1], [1], most_keys=31)


class TestLatentShape:
    DEEPSEEK_V3 = LatentShape(heads=128, rank=512, rotated=64, plain=128, value=128)

    @pytest.mark.parametrize(
        "shape",
        [DEEPSEEK_V3, LatentShape(heads=40, rank=256, rotated=32, plain=64, value=64)],
        ids=["DeepSeek-V3", "MiniCPM3"],
    )
    def test_making_keys_pays_from_where_it_takes_fewer_multiplications(self, shape):
        def saved(queries):  # per head and key
            absorbed = queries * (shape.rank + shape.rotated) + queries * shape.rank
            attention = queries * (shape.plain + shape.rotated) + queries * shape.value
            return absorbed - attention - shape.rank * (shape.plain + shape.value)

        assert saved(shape.least_queries - 1) < 0 <= saved(shape.least_queries)

    def test_it_never_pays_with_latents_that_are_shorter_than_what_is_made_of_them(self):
        assert LatentShape(heads=4, rank=32, rotated=16, plain=32, value=32).least_queries is None

    def test_keys_take_no_more_memory_than_is_given(self):
        keys = self.DEEPSEEK_V3.most_keys(65536 * 128 * 256)

        # Latents; and of 128 heads what they are multiplied to, keys, values and three results.
        assert keys * (576 + 128 * (256 + 192 + 128 + 3 * 128)) <= 65536 * 128 * 256
        assert keys > 17000


def test_gathered_latents_are_those_of_the_cache(device):
    batch = Batch()
    cache = LatentCache.of(batch.cache.whole.to(device), SHAPE.rank)
    lengths = torch.tensor([9, 70], dtype=torch.int32)

    latents, rotated = gather_latents(cache, batch.table[:2].to(device), lengths.to(device), 79)

    expected = torch.cat([batch.tokens[0], batch.tokens[1][:70]])
    assert torch.equal(torch.cat([latents, rotated], dim=-1).cpu(), expected)


def test_fake_tensors_pass_through_without_data():
    batch = Batch(torch.bfloat16)
    with FakeTensorMode() as mode:
        cache = LatentCache.of(mode.from_tensor(batch.cache.whole), SHAPE.rank)
        lengths = mode.from_tensor(torch.tensor(KEYS).int())
        parts = gather_latents(cache, mode.from_tensor(batch.table), lengths, sum(KEYS))

    assert [(each.shape, each.dtype) for each in parts] == [
        ((sum(KEYS), SHAPE.rank), torch.bfloat16),
        ((sum(KEYS), SHAPE.rotated), torch.bfloat16),
    ]


@pytest.mark.parametrize(
    ("table", "lengths", "text"),
    [
        (torch.zeros(2, 1).int(), torch.zeros(3).int(), r"must be \[requests, ...\]"),
        (torch.zeros(2, 1).int(), torch.zeros(2).long(), "must be int32"),
        (torch.zeros(1, 1).int(), torch.ones(1).int(), "lengths add up to 1, not 5"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(table, lengths, text):
    with pytest.raises(OperatorArgumentError, match=text):
        gather_latents(Batch().cache, table, lengths, 5)
