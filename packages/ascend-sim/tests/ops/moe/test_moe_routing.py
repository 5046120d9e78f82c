# SPDX-License-Identifier: Apache-2.0
"""Routing of a mixture of experts: where rows go, how many, and how they come back."""

import pytest
import torch
import torch_npu
from support.aclnn import call
from support.oracle import FLOATS, run_and_wait, values

TOKENS, HIDDEN, EXPERTS, K = 7, 16, 8, 3


def _experts(tokens=TOKENS, experts=EXPERTS, k=K, seed=0):
    """Distinct experts for every token."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randperm(experts, generator=generator)[:k] for _ in range(tokens)]
    return torch.stack(rows).int()


def _places(expert_idx, first=0, last=EXPERTS):
    """Places of `expert_idx`, flat, in the order of their experts, those in range only."""
    flat = expert_idx.flatten().tolist()
    return [p for e in range(first, last) for p, expert in enumerate(flat) if expert == e]


def _within_capacity(x, experts, capacity):
    """Collect the rows that find a place, [experts, capacity, hidden]; and where each row went."""
    rows = torch.zeros(EXPERTS, capacity, HIDDEN)
    places = [-1] * (TOKENS * K)
    for expert in range(EXPERTS):
        for i, place in enumerate(_places(experts, expert, expert + 1)[:capacity]):
            rows[expert, i] = x[place // K]
            places[place] = expert * capacity + i
    return rows, places


# --- npu_moe_init_routing_v2 ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int8], ids=str)
def test_rows_are_expanded_in_the_order_of_their_experts(dtype):
    x, experts = values(TOKENS, HIDDEN, dtype=dtype), _experts()
    rows, row_idx, counts, _ = torch_npu.npu_moe_init_routing_v2(
        x.npu(),
        experts.npu(),
        expert_num=EXPERTS,
        expert_tokens_num_type=1,
        expert_tokens_num_flag=True,
    )
    places = _places(experts)
    assert torch.equal(rows.cpu(), x[[p // K for p in places]])
    assert row_idx.cpu().tolist() == [places.index(p) for p in range(TOKENS * K)]
    assert torch.equal(counts.cpu(), torch.bincount(experts.flatten(), minlength=EXPERTS))


@pytest.mark.parametrize("count_mode", [0, 1, 2], ids=["uncounted", "cumulative", "counts"])
def test_rows_are_expanded_by_the_operator_of_310p(count_mode):
    x, experts = values(TOKENS, HIDDEN, dtype=torch.float16), _experts()
    rows = torch.zeros(TOKENS * K, HIDDEN, dtype=torch.float16).npu()
    row_idx, counts = torch.zeros(TOKENS * K).int().npu(), torch.full((EXPERTS,), -7).int().npu()
    options = (0, 0, EXPERTS, 0, count_mode, False)
    call("aclnnMoeInitRoutingV2", x.npu(), experts.npu(), *options, rows, row_idx, counts, None)
    places = _places(experts)
    assert torch.equal(rows.cpu(), x[[p // K for p in places]])
    assert row_idx.tolist() == [places.index(p) for p in range(TOKENS * K)]
    per_expert = torch.bincount(experts.flatten(), minlength=EXPERTS)
    expected = [torch.full((EXPERTS,), -7), per_expert.cumsum(0), per_expert][count_mode]
    assert torch.equal(counts.cpu(), expected.int())


@pytest.mark.parametrize("row_idx_type", [0, 1], ids=["gather", "scatter"])
def test_experts_out_of_range_are_left_out(row_idx_type):
    x, experts, scale = values(TOKENS, HIDDEN), _experts(), values(TOKENS, seed=1)
    rows, row_idx, counts, scales = torch_npu.npu_moe_init_routing_v2(
        x.npu(),
        experts.npu(),
        scale=scale.npu(),
        expert_num=EXPERTS,
        expert_tokens_num_type=1,
        expert_tokens_num_flag=True,
        active_expert_range=[2, 5],
        row_idx_type=row_idx_type,
    )
    places = _places(experts, 2, 5)
    assert torch.equal(rows.cpu()[: len(places)], x[[p // K for p in places]])
    assert torch.equal(scales.cpu()[: len(places)], scale[[p // K for p in places]])
    assert counts.tolist() == [(experts == e).sum().item() for e in (2, 3, 4)]
    if row_idx_type == 0:
        expected = [places.index(p) if p in places else -1 for p in range(TOKENS * K)]
        assert row_idx.tolist() == expected
    else:
        assert row_idx.tolist()[: len(places)] == places


def test_tokens_are_counted_cumulatively_or_in_pairs():
    experts = torch.tensor([[1, 6], [6, 3]], dtype=torch.int32)

    def count(kind):
        return torch_npu.npu_moe_init_routing_v2(
            values(2, HIDDEN).npu(),
            experts.npu(),
            expert_num=EXPERTS,
            expert_tokens_num_type=kind,
            expert_tokens_num_flag=True,
        )[2].tolist()

    assert count(0) == [0, 1, 1, 2, 2, 2, 4, 4]
    assert count(2)[:4] == [[1, 1], [3, 1], [6, 2], [0, 0]]


def test_no_more_than_the_active_rows_are_expanded():
    x, experts = values(TOKENS, HIDDEN), _experts()
    rows, *_ = torch_npu.npu_moe_init_routing_v2(
        x.npu(), experts.npu(), expert_num=EXPERTS, active_num=5
    )
    assert torch.equal(rows.cpu(), x[[p // K for p in _places(experts)[:5]]])


def test_experts_have_a_capacity_and_rows_beyond_it_are_dropped():
    x, experts, capacity = values(TOKENS, HIDDEN), _experts(), 2
    rows, row_idx, counts, _ = torch_npu.npu_moe_init_routing_v2(
        x.npu(),
        experts.npu(),
        expert_num=EXPERTS,
        expert_capacity=capacity,
        drop_pad_mode=1,
        expert_tokens_num_type=1,
        expert_tokens_num_flag=True,
    )
    expected, places = _within_capacity(x, experts, capacity)
    assert -1 in places
    assert torch.equal(rows.cpu(), expected)
    assert row_idx.tolist() == places
    assert torch.equal(counts.cpu(), torch.bincount(experts.flatten(), minlength=EXPERTS))


@pytest.mark.parametrize("smooth", [None, "one", "of experts"])
def test_rows_are_quantized_as_they_are_expanded(smooth):
    x, experts = values(TOKENS, HIDDEN), _experts()
    rows = {None: 0, "one": 1, "of experts": EXPERTS}[smooth]
    scale = values(rows, HIDDEN, seed=1).abs() + 0.5 if smooth else None
    quantized, _, _, scales = torch_npu.npu_moe_init_routing_v2(
        x.npu(),
        experts.npu(),
        scale=None if scale is None else scale.npu(),
        expert_num=EXPERTS,
        quant_mode=1,
    )
    places = _places(experts)
    expected = x[[p // K for p in places]]
    if smooth:
        chosen = experts.flatten()[places].long() if rows > 1 else [0] * len(places)
        expected = expected * scale[chosen]
    steps = expected.abs().amax(-1) / 127
    assert torch.equal(scales.cpu(), steps)
    assert torch.equal(quantized.cpu(), (expected / steps.unsqueeze(1)).round().to(torch.int8))


def test_rows_are_quantized_with_a_given_scale():
    x, experts = values(TOKENS, HIDDEN), _experts()
    quantized, *_ = torch_npu.npu_moe_init_routing_v2(
        x.npu(),
        experts.npu(),
        scale=torch.tensor([64.0]).npu(),
        offset=torch.tensor([2.0]).npu(),
        expert_num=EXPERTS,
        quant_mode=0,
    )
    expected = (x * 64 + 2).round().clamp(-128, 127).to(torch.int8)
    assert torch.equal(quantized.cpu(), expected[[p // K for p in _places(experts)]])


# --- npu_moe_init_routing_quant ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("smooth", [None, 1, EXPERTS], ids=["plain", "one", "per expert"])
def test_rows_are_expanded_and_quantized(dtype, smooth):
    x, experts = values(TOKENS, HIDDEN, dtype=dtype), _experts()
    scale = None if smooth is None else values(smooth, HIDDEN, seed=1).abs() + 0.5
    rows, row_idx, counts, _, scales = torch_npu.npu_moe_init_routing_quant(
        x.npu(),
        experts.npu(),
        scale=None if scale is None else scale.npu(),
        active_num=0,
        expert_num=EXPERTS,
        expert_tokens_num_mode=2,
        quant_mode=1,
    )
    places = _places(experts)
    expected = x.float()[[p // K for p in places]]
    if scale is not None:
        owners = experts.flatten()[places].long()
        expected = expected * (scale if smooth == 1 else scale[owners])
    steps = expected.abs().amax(1) / 127
    torch.testing.assert_close(scales.cpu(), steps)
    assert (rows.cpu().float() - expected / steps.unsqueeze(1)).abs().max() <= 0.501
    assert row_idx.cpu().tolist() == [places.index(p) for p in range(TOKENS * K)]
    assert torch.equal(counts.cpu(), torch.bincount(experts.flatten(), minlength=EXPERTS).int())


def test_rows_are_quantized_with_a_given_scale_and_counted_cumulatively():
    x, experts = values(TOKENS, HIDDEN), _experts()
    rows, _, ends, _, _ = torch_npu.npu_moe_init_routing_quant(
        x.npu(),
        experts.npu(),
        scale=torch.tensor([20.0]).npu(),
        offset=torch.tensor([3.0]).npu(),
        active_num=0,
        expert_num=EXPERTS,
        expert_tokens_num_mode=1,
        quant_mode=0,
    )
    expected = (x * 20 + 3).round().clamp(-128, 127)[[p // K for p in _places(experts)]]
    assert torch.equal(rows.cpu(), expected.to(torch.int8))
    assert ends.tolist() == torch.bincount(experts.flatten(), minlength=EXPERTS).cumsum(0).tolist()


def test_quantized_rows_beyond_the_capacity_are_dropped_but_counted():
    x, experts, capacity = values(TOKENS, HIDDEN), _experts(), 2
    rows, row_idx, _, counts, scales = torch_npu.npu_moe_init_routing_quant(
        x.npu(),
        experts.npu(),
        active_num=0,
        expert_capacity=capacity,
        expert_num=EXPERTS,
        drop_pad_mode=1,
        expert_tokens_before_capacity_flag=True,
        quant_mode=1,
    )
    expected, places = _within_capacity(x, experts, capacity)
    used = [p for p in places if p >= 0]
    actual = rows.cpu().flatten(0, 1).float()[used] * scales.cpu()[used].unsqueeze(1)
    torch.testing.assert_close(actual, expected.flatten(0, 1)[used], atol=0.02, rtol=0)
    assert row_idx.tolist() == places
    assert torch.equal(counts.cpu(), torch.bincount(experts.flatten(), minlength=EXPERTS).int())


# --- npu_moe_init_routing, npu_moe_compute_expert_tokens, npu_moe_finalize_routing ---------------


@pytest.mark.parametrize("active", [TOKENS, 2])
def test_the_first_routing_numbers_places_column_by_column(active):
    x, experts = values(TOKENS, HIDDEN), _experts()
    row_idx = torch.arange(TOKENS * K, dtype=torch.int32).view(K, TOKENS).t().contiguous()
    rows, back, sorted_experts = torch_npu.npu_moe_init_routing(
        x.npu(), row_idx.npu(), experts.npu(), active
    )
    places = _places(experts)
    assert torch.equal(rows.cpu(), x[[p // K for p in places[: active * K]]])
    assert torch.equal(sorted_experts.cpu(), experts.flatten().sort().values)
    expected = [places.index(p) for p in range(TOKENS * K)]  # by rows; by columns:
    assert torch.equal(back.cpu(), torch.tensor(expected).view(TOKENS, K).t().flatten().int())


def test_where_the_rows_of_every_expert_end():
    experts = _experts().flatten().sort().values
    ends = torch_npu.npu_moe_compute_expert_tokens(experts.npu(), EXPERTS + 2)
    counts = torch.bincount(experts, minlength=EXPERTS + 2)
    assert torch.equal(ends.cpu(), counts.cumsum(0).int())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("mode", [0, 2], ids=["by columns", "by rows"])
def test_results_of_experts_are_weighed_and_added_up(mode, dtype):
    rows, scales = values(TOKENS * K, HIDDEN, dtype=dtype), values(TOKENS, K, dtype=dtype, seed=1)
    skips = [values(TOKENS, HIDDEN, dtype=dtype, seed=s) for s in (2, 3)]
    bias, experts = values(EXPERTS, HIDDEN, dtype=dtype, seed=4), _experts()
    places = torch.randperm(TOKENS * K, generator=torch.Generator().manual_seed(5)).int()
    actual = torch_npu.npu_moe_finalize_routing(
        rows.npu(),
        *(s.npu() for s in skips),
        bias.npu(),
        scales.npu(),
        places.npu(),
        experts.npu(),
        drop_pad_mode=mode,
    )
    expected = skips[0].double() + skips[1].double()
    for token in range(TOKENS):
        for i in range(K):
            place = places[i * TOKENS + token if mode == 0 else token * K + i]
            term = rows[place].double() + bias[experts[token, i]].double()
            expected[token] += scales[token, i].double() * term
    limit = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}[dtype]
    torch.testing.assert_close(actual.cpu(), expected.to(dtype), rtol=limit, atol=limit)


def test_rows_that_were_dropped_add_nothing():
    rows, scales = values(EXPERTS, 2, HIDDEN), values(TOKENS, K, seed=1)
    places = torch.arange(TOKENS * K, dtype=torch.int32).clamp(max=EXPERTS * 2 - 1)
    places[::4] = -1
    actual = torch_npu.npu_moe_finalize_routing(
        rows.npu(), None, None, None, scales.npu(), places.npu(), None, drop_pad_mode=3
    )
    terms = rows.flatten(0, 1)[places] * (places >= 0).unsqueeze(1)
    expected = (terms.view(TOKENS, K, HIDDEN) * scales.unsqueeze(-1)).sum(1)
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-5, atol=1e-5)


def test_results_of_one_expert_each_need_no_weights():
    rows, skip = values(TOKENS, HIDDEN), values(TOKENS, HIDDEN, seed=1)
    places = torch.arange(TOKENS, dtype=torch.int32).flip(0)
    actual = torch_npu.npu_moe_finalize_routing(
        rows.npu(), skip.npu(), None, None, None, places.npu(), None, drop_pad_mode=2
    )
    assert torch.equal(actual.cpu(), skip + rows.flip(0))


# --- npu_moe_token_permute, npu_moe_token_unpermute, npu_moe_re_routing --------------------------


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_permuted_tokens_come_back_weighed(dtype):
    tokens, experts = values(TOKENS, HIDDEN, dtype=dtype), _experts()
    probabilities = values(TOKENS, K, seed=1).softmax(-1).to(dtype)
    permuted, indices = torch_npu.npu_moe_token_permute(tokens.npu(), experts.npu())
    places = _places(experts)
    assert torch.equal(permuted.cpu(), tokens[[p // K for p in places]])
    assert indices.tolist() == [places.index(p) for p in range(TOKENS * K)]
    back = torch_npu.npu_moe_token_unpermute(permuted, indices, probabilities.npu())
    expected = tokens.float() * probabilities.float().sum(-1, keepdim=True)
    limit = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}[dtype]
    torch.testing.assert_close(back.cpu(), expected.to(dtype), rtol=limit, atol=limit)


def test_tokens_of_one_expert_each_are_permuted_without_weights():
    tokens, experts = values(TOKENS, HIDDEN), _experts(k=1).flatten()
    permuted, indices = torch_npu.npu_moe_token_permute(tokens.npu(), experts.npu())
    assert torch.equal(permuted.cpu(), tokens[experts.sort(stable=True).indices])
    assert torch.equal(torch_npu.npu_moe_token_unpermute(permuted, indices).cpu(), tokens)


def test_tokens_beyond_the_wanted_number_are_dropped():
    tokens, experts = values(TOKENS, HIDDEN), _experts()
    permuted, indices = torch_npu.npu_moe_token_permute(tokens.npu(), experts.npu(), 10)
    assert torch.equal(permuted.cpu(), tokens[[p // K for p in _places(experts)[:10]]])
    ones = torch.ones(TOKENS, K)
    back = torch_npu.npu_moe_token_unpermute(permuted, indices, ones.npu())
    kept = torch.bincount(torch.tensor([p // K for p in _places(experts)[:10]]), minlength=TOKENS)
    torch.testing.assert_close(back.cpu(), tokens * kept.unsqueeze(1))


def test_tokens_of_all_ranks_are_put_in_order_of_their_experts():
    counts = torch.tensor([[2, 0, 1], [1, 3, 2]], dtype=torch.int32)  # ranks x experts
    tokens, scales = values(9, HIDDEN), values(9, seed=1)
    owner = [(e, r) for r in range(2) for e in range(3) for _ in range(counts[r, e])]
    order = sorted(range(9), key=lambda i: owner[i])
    permuted, permuted_scales, index, per_expert = torch_npu.npu_moe_re_routing(
        tokens.half().npu(), counts.npu(), per_token_scales=scales.npu()
    )
    assert torch.equal(permuted.cpu(), tokens.half()[order])
    assert torch.equal(permuted_scales.cpu(), scales[order])
    assert index.tolist() == order
    assert per_expert.tolist() == [3, 3, 3]


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"expert_num": 10241}, "expertNum must be at most 10240"),
        ({"quant_mode": 0}, "scale and offset must have shape"),
    ],
)
def test_quantized_routing_refuses(arguments, text):
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(
            torch_npu.npu_moe_init_routing_quant,
            values(TOKENS, HIDDEN).npu(),
            _experts().npu(),
            **{"expert_num": EXPERTS, "active_num": 0, "quant_mode": 1} | arguments,
        )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"expert_num": 10241}, "expertNum must be at most 10240"),
        ({"expert_num": 5121, "expert_tokens_num_type": 2}, "expertNum must be at most 5120"),
        ({"active_expert_range": [4, 9]}, "activeExpertRange must lie within"),
        ({"quant_mode": 11}, "quantMode 11 is not supported"),
        ({"quant_mode": 0}, "scale and offset must have shape"),
        ({"active_num": -2}, "activeNum must be at least -1"),
        (
            {"drop_pad_mode": 1, "expert_capacity": 9, "expert_tokens_num_type": 1},
            "expertCapacity must be from 1",
        ),
    ],
)
def test_routing_refuses(arguments, text):
    arguments = {"expert_num": EXPERTS, "expert_tokens_num_flag": True} | arguments
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(
            torch_npu.npu_moe_init_routing_v2,
            values(TOKENS, HIDDEN).npu(),
            _experts().npu(),
            **arguments,
        )


def test_the_number_of_experts_whose_tokens_are_counted_is_limited():
    with pytest.raises(RuntimeError, match="numExperts must be at most 2048"):
        run_and_wait(torch_npu.npu_moe_compute_expert_tokens, _experts().flatten().npu(), 2049)
