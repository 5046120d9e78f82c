# SPDX-License-Identifier: Apache-2.0
"""Grouped products: every expert's rows with that expert's weights."""

import pytest
import torch
import torch_npu
from support.aclnn import call
from support.integers import dynamic, fp19, int4, int8, packed_int4, product
from support.oracle import FLOATS, run_and_wait, values

K, N = 16, 24
SIZES = [3, 0, 4, 1]
ENDS = torch.tensor(SIZES).cumsum(0)
ROWS, GROUPS = sum(SIZES), len(SIZES)
_LIMIT = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}


def _npu(tensors):
    return None if tensors is None else [t.npu() for t in tensors]


def _close(actual, expected):
    limit = _LIMIT[actual.dtype]
    torch.testing.assert_close(actual.cpu(), expected.to(actual.dtype), rtol=limit, atol=limit)


def _by_group(x, weights, bias=None):
    """One product after the other, in double precision."""
    parts = []
    for i, rows in enumerate(x.split(SIZES)):
        part = rows.double() @ weights[i].double()
        parts.append(part if bias is None else part + bias[i].double())
    return torch.cat(parts)


def _group_list(kind):
    """The same groups as ends, as counts, and as pairs in another order of the groups."""
    if kind == 2:
        return torch.stack([torch.arange(GROUPS), torch.tensor(SIZES)], 1)
    return ENDS if kind == 0 else torch.tensor(SIZES)


@pytest.mark.parametrize("kind", [0, 1], ids=["ends", "counts"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_one_weight_holds_the_matrices_of_all_experts(dtype, transposed, kind):
    x, weight = values(ROWS, K, dtype=dtype), values(GROUPS, K, N, dtype=dtype, seed=1)
    given = (
        weight.transpose(1, 2).contiguous().npu().transpose(1, 2) if transposed else weight.npu()
    )
    (actual,) = torch_npu.npu_grouped_matmul(
        [x.npu()],
        [given],
        group_list=_group_list(kind).npu(),
        split_item=3,
        group_type=0,
        group_list_type=kind,
    )
    _close(actual, _by_group(x, weight))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_weights_and_biases_may_be_lists(dtype):
    x, weights = values(ROWS, K, dtype=dtype), list(values(GROUPS, K, N, dtype=dtype, seed=1))
    bias = values(GROUPS, N, dtype=torch.float32 if dtype == torch.bfloat16 else dtype, seed=2)
    (actual,) = torch_npu.npu_grouped_matmul(
        [x.npu()],
        _npu(weights),
        bias=_npu(bias),
        group_list=ENDS.npu(),
        split_item=2,
        group_type=0,
    )
    _close(actual, _by_group(x, weights, bias))


@pytest.mark.parametrize("split_item", [0, 2], ids=["one out each", "one out"])
def test_every_weight_may_have_rows_of_its_own(split_item):
    x, weights = values(ROWS, K).half(), list(values(GROUPS, K, N, seed=1).half())
    actual = torch_npu.npu_grouped_matmul(
        _npu(x.split(SIZES)),
        _npu(weights),
        split_item=split_item,
        group_type=-1 if split_item == 0 else 0,
    )
    assert [len(part) for part in actual] == (SIZES if split_item == 0 else [ROWS])
    _close(torch.cat([part.cpu() for part in actual]), _by_group(x, weights))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_one_x_and_an_out_for_every_group(dtype):
    x, weights = values(ROWS, K).to(dtype), list(values(GROUPS, K, N, seed=1).to(dtype))
    actual = torch_npu.npu_grouped_matmul(
        [x.npu()], _npu(weights), group_list=ENDS.npu(), split_item=0, group_type=0
    )
    assert [len(part) for part in actual] == SIZES
    _close(torch.cat([part.cpu() for part in actual]), _by_group(x, weights))


def test_where_groups_end_may_be_known_on_the_host():
    x, weights = values(ROWS, K).half(), list(values(GROUPS, K, N, seed=1).half())
    (actual,) = torch_npu.npu_grouped_matmul(
        [x.npu()], _npu(weights), group_list=ENDS.tolist(), split_item=3
    )
    _close(actual, _by_group(x, weights))


def test_groups_may_share_the_dimension_that_is_summed_up():
    x, weight = values(5, ROWS).half(), values(ROWS, N, seed=1).half()
    (actual,) = torch_npu.npu_grouped_matmul(
        [x.npu()], [weight.npu()], group_list=ENDS.npu(), split_item=3, group_type=2
    )
    parts = zip(x.split(SIZES, 1), weight.split(SIZES), strict=True)
    _close(actual, torch.stack([a.double() @ b.double() for a, b in parts]))


# --- quantized -----------------------------------------------------------------------------------

X, WEIGHT = int8(ROWS, K), int8(GROUPS, K, N, seed=1)
SCALE, TOKENS = values(GROUPS, N, seed=2).abs() / 100, values(ROWS, seed=3).abs()
OWNER = torch.arange(GROUPS).repeat_interleave(torch.tensor(SIZES))


def _integers():
    parts = [product(rows, WEIGHT[i]) for i, rows in enumerate(X.split(SIZES))]
    return torch.cat(parts)


def _quantized(**arguments):
    defaults = {"group_list": ENDS.npu(), "split_item": 3, "group_type": 0}
    (actual,) = torch_npu.npu_grouped_matmul([X.npu()], [WEIGHT.npu()], **(defaults | arguments))
    return actual.cpu()


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["ends", "counts", "pairs"])
def test_int8_with_a_scale_per_channel_and_per_token(kind):
    actual = _quantized(
        scale=[SCALE.bfloat16().npu()],
        per_token_scale=[TOKENS.npu()],
        output_dtype=torch.bfloat16,
        group_list=_group_list(kind).npu(),
        group_list_type=kind,
    )
    expected = _integers().float() * SCALE.bfloat16().float()[OWNER] * TOKENS.unsqueeze(1)
    assert torch.equal(actual, expected.bfloat16())


def test_integer_bias_comes_before_the_scale():
    bias = torch.arange(GROUPS * N, dtype=torch.int32).view(GROUPS, N) * 100
    actual = _quantized(
        scale=[SCALE.npu()],
        bias=[bias.npu()],
        per_token_scale=[TOKENS.npu()],
        output_dtype=torch.float16,
    )
    expected = (_integers() + bias[OWNER]).float() * SCALE[OWNER] * TOKENS.unsqueeze(1)
    assert torch.equal(actual, expected.half())


def test_the_sums_themselves_and_int8_of_a_packed_scale():
    assert torch.equal(_quantized(output_dtype=torch.int32), _integers().int())
    packed = torch_npu.npu_trans_quant_param(SCALE.npu())
    expected = (_integers().float() * fp19(SCALE)[OWNER]).round().clamp(-128, 127)
    assert torch.equal(_quantized(scale=[packed]), expected.to(torch.int8))


@pytest.mark.parametrize(
    ("act_type", "function"),
    [
        (1, torch.relu),
        (2, lambda v: torch.nn.functional.gelu(v, approximate="tanh")),
        (4, lambda v: v * torch.sigmoid(1.702 * v)),
        (5, torch.nn.functional.silu),
    ],
    ids=["relu", "gelu", "fast gelu", "silu"],
)
def test_an_activation_follows(act_type, function):
    actual = _quantized(
        scale=[SCALE.npu()],
        per_token_scale=[TOKENS.npu()],
        output_dtype=torch.float16,
        act_type=act_type,
    )
    expected = function(_integers().float() * SCALE[OWNER] * TOKENS.unsqueeze(1))
    _close(actual, expected)


@pytest.mark.parametrize(("bits", "groups_of_k"), [(8, 1), (4, 1), (4, 2)])
def test_weights_of_few_bits_with_floating_point_rows(bits, groups_of_k):
    x = values(ROWS, K).half()
    weight = int8(GROUPS, K, N) if bits == 8 else int4(GROUPS, K, N)
    shape = (GROUPS, N) if groups_of_k == 1 else (GROUPS, groups_of_k, N)
    scale, offset = values(*shape, seed=2).half() / 50, values(*shape, seed=3).half()
    (actual,) = torch_npu.npu_grouped_matmul(
        [x.npu()],
        [(weight if bits == 8 else packed_int4(weight)).npu()],
        antiquant_scale=[scale.npu()],
        antiquant_offset=[offset.npu()],
        group_list=ENDS.npu(),
        split_item=3,
        group_type=0,
    )

    def of_rows(parts):
        return (
            parts.view(GROUPS, groups_of_k, 1, N).expand(-1, -1, K // groups_of_k, -1).flatten(1, 2)
        )

    weights = (weight.double() + of_rows(offset).double()) * of_rows(scale).double()
    _close(actual, _by_group(x, weights))


# --- by the operator that torch_npu calls where CANN has no fifth version ------------------------


def _fourth_version(
    x, weight, dtype, *, bias=None, scale=None, per_token_scale=None, kind=0, act_type=0
):
    """Call the operator with one tensor in each list."""
    out = torch.zeros(len(x), weight.size(-1), dtype=dtype).npu()
    lists = [None if t is None else [t.npu()] for t in (x, weight, bias, scale)]
    tokens = None if per_token_scale is None else [per_token_scale.npu()]
    absent = [None, None, None]  # offset, antiquantScale, antiquantOffset; activation's
    numbers = 3, 0, kind, act_type  # splitItem, groupType, groupListType, actType
    outputs = [out], None, None
    call(
        "aclnnGroupedMatmulV4",
        *(*lists, *absent, tokens, _group_list(kind).npu(), *absent, *numbers, *outputs),
    )
    return out.cpu()


@pytest.mark.parametrize("kind", [0, 1], ids=["ends", "counts"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_fourth_version_of_the_product(dtype, kind):
    x, weight = values(ROWS, K, dtype=dtype), values(GROUPS, K, N, dtype=dtype, seed=1)
    bias = values(GROUPS, N, dtype=torch.float32 if dtype == torch.bfloat16 else dtype, seed=2)
    _close(_fourth_version(x, weight, dtype, bias=bias, kind=kind), _by_group(x, weight, bias))


def test_fourth_version_of_the_product_of_integers():
    actual = _fourth_version(
        *(X, WEIGHT, torch.float16),
        scale=SCALE,
        per_token_scale=TOKENS,
        kind=2,
        act_type=5,
    )
    expected = _integers().float() * SCALE[OWNER] * TOKENS.unsqueeze(1)
    _close(actual, torch.nn.functional.silu(expected))


# --- with what comes next ------------------------------------------------------------------------


def _nz(tensor):
    return torch_npu.npu_format_cast(tensor.npu(), 29)


def test_weights_may_be_in_blocks(internal_formats):
    actual = torch_npu.npu_grouped_matmul(
        [X.npu()],
        [_nz(WEIGHT)],
        scale=[SCALE.npu()],
        per_token_scale=[TOKENS.npu()],
        group_list=ENDS.npu(),
        split_item=3,
        group_type=0,
        output_dtype=torch.float16,
    )[0]
    expected = _integers().float() * SCALE[OWNER] * TOKENS.unsqueeze(1)
    assert torch.equal(actual.cpu(), expected.half())


def _gated(sums, scale):
    left, right = (sums.float() * scale[OWNER] * TOKENS.unsqueeze(1)).chunk(2, -1)
    return torch.nn.functional.silu(left) * right


def test_gated_and_quantized_again(internal_formats):
    actual, scale, _ = torch_npu.npu_grouped_matmul_swiglu_quant(
        X.npu(), _nz(WEIGHT), ENDS.npu(), SCALE.npu(), TOKENS.npu()
    )
    second, second_scale = torch_npu.npu_grouped_matmul_swiglu_quant_v2(
        X.npu(),
        [_nz(WEIGHT)],
        [SCALE.npu()],
        TOKENS.npu(),
        torch.tensor(SIZES).npu(),
        group_list_type=1,
        dequant_dtype=0,
    )
    expected, expected_scale = dynamic(_gated(_integers(), SCALE))
    assert torch.equal(actual.cpu(), expected)
    assert torch.equal(second.cpu(), expected)
    torch.testing.assert_close(scale.cpu(), expected_scale)
    torch.testing.assert_close(second_scale.cpu(), expected_scale)


def test_a_view_of_a_weights_blocks_stands_for_its_matrices(internal_formats):
    """npu_grouped_matmul_swiglu_quant_v2.md: [e, k, n], or in FRACTAL_NZ 5 dimensions."""
    weight, scale = int8(GROUPS, 32, 64, seed=1), values(GROUPS, 64, seed=2).abs() / 100
    others = (ENDS.npu(), scale.npu(), TOKENS.npu())
    x, matrices = int8(ROWS, 32).npu(), _nz(weight)
    expected = torch_npu.npu_grouped_matmul_swiglu_quant(x, matrices, *others)
    blocks = matrices.view(GROUPS, 64 // 32, 32 // 16, 16, 32)
    actual = torch_npu.npu_grouped_matmul_swiglu_quant(x, blocks, *others)
    for one, other in zip(actual[:2], expected[:2], strict=True):
        assert torch.equal(one.cpu(), other.cpu())


def test_int4_gated_smoothed_and_quantized():
    x, weight = int4(ROWS, K), int4(GROUPS, K, 32, seed=1)
    scale, smooth = values(GROUPS, 32, seed=2).abs() / 10, values(GROUPS, 16, seed=4).abs() + 0.5
    actual, actual_scale = torch_npu.npu_grouped_matmul_swiglu_quant_v2(
        packed_int4(x).npu(),
        [packed_int4(weight).npu()],
        [scale.npu()],
        TOKENS.npu(),
        ENDS.npu(),
        smooth_scale=smooth.npu(),
        dequant_dtype=0,
    )
    sums = torch.cat([product(rows, weight[i]) for i, rows in enumerate(x.split(SIZES))])
    expected, expected_scale = dynamic(_gated(sums, scale) * smooth[OWNER])
    assert torch.equal(actual.cpu(), expected)
    torch.testing.assert_close(actual_scale.cpu(), expected_scale)


def _third_version(x, weight, counts, **named):
    """Call the operator that torch_npu has for weights that are not in blocks: of int4."""
    out = torch.zeros(named["output_bs"], weight.size(-1)).npu()
    absent = [None] * 4  # bias, offset, antiquantScale, antiquantOffset
    call(
        "aclnnGroupedMatmulFinalizeRoutingV3",
        *(x, weight, named["scale"], *absent, named["pertoken_scale"], counts),
        *(named["shared_input"], named["logit"], named["row_index"], 0),
        *(named["shared_input_weight"], named["shared_input_offset"], False, False, 1, None, out),
    )
    return out


@pytest.mark.parametrize("function", [None, _third_version], ids=["", "third version"])
@pytest.mark.parametrize("shared", [False, True])
def test_results_go_back_to_their_tokens(internal_formats, shared, function):
    tokens, top_k, n = ROWS // 2, 2, 256
    weight, scale = int8(GROUPS, K, n, seed=1), values(GROUPS, n, seed=2).abs() / 100
    logit = values(ROWS, seed=5).abs()
    row_index = torch.arange(ROWS).view(top_k, tokens).t().flatten() % tokens
    extra = values(tokens - 1, n, seed=6).bfloat16() if shared else None
    actual = (function or torch_npu.npu_grouped_matmul_finalize_routing)(
        X.npu(),
        _nz(weight),
        torch.tensor(SIZES).npu(),
        scale=scale.npu(),
        pertoken_scale=TOKENS.npu(),
        shared_input=extra.npu() if shared else None,
        logit=logit.npu(),
        row_index=row_index.npu(),
        shared_input_weight=0.5,
        shared_input_offset=1 if shared else 0,
        output_bs=tokens,
    )
    sums = torch.cat([product(rows, weight[i]) for i, rows in enumerate(X.split(SIZES))])
    terms = sums.double() * scale[OWNER] * (TOKENS * logit).unsqueeze(1)
    expected = torch.zeros(tokens, n, dtype=torch.double).index_add_(0, row_index, terms)
    if shared:
        expected[1:] += 0.5 * extra.double()
    torch.testing.assert_close(actual.cpu(), expected.float(), rtol=1e-5, atol=1e-5)


def _swiglu_quant():
    return torch_npu.npu_grouped_matmul_swiglu_quant(
        X.npu(), WEIGHT.npu(), ENDS.npu(), SCALE.npu(), TOKENS.npu()
    )


def _finalize_routing():
    return torch_npu.npu_grouped_matmul_finalize_routing(
        X.npu(),
        WEIGHT.npu(),
        ENDS.npu(),
        scale=SCALE.npu(),
        pertoken_scale=TOKENS.npu(),
        logit=TOKENS.npu(),
        row_index=torch.arange(ROWS).npu(),
    )


@pytest.mark.parametrize("operator", [_swiglu_quant, _finalize_routing])
def test_int8_weights_of_these_must_be_in_blocks(operator):
    with pytest.raises(RuntimeError, match="must be in format FRACTAL_NZ"):
        run_and_wait(operator)


# --- graphs and limits ---------------------------------------------------------------------------


def test_a_graph_reads_the_groups_anew_at_every_replay():
    x, weight = values(ROWS, K).npu(), values(GROUPS, K, N, seed=1).npu()
    groups = ENDS.npu()
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        (actual,) = torch_npu.npu_grouped_matmul(
            [x], [weight], group_list=groups, split_item=3, group_type=0
        )
    for sizes in (SIZES, [0, ROWS, 0, 0], [2, 2, 2, 2]):
        groups.copy_(torch.tensor(sizes).cumsum(0))
        graph.replay()
        expected = [r @ weight[i].cpu() for i, r in enumerate(x.cpu().split(sizes))]
        _close(actual, torch.cat(expected))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bias": [values(GROUPS, N)]}, "bias must be Half"),
        ({"act_type": 1}, "activations are only taken with perTokenScale"),
        ({"act_type": 3}, "actType must be 0, 1, 2, 4 or 5"),
        ({"group_list_type": 2, "group_list": _group_list(2)}, "groupListType 2 takes an int8 x"),
        ({"weight": [values(GROUPS, K + 1, N).half()]}, "weight must have 16 rows"),
        ({"weight": [values(GROUPS, K, N)]}, "weight has dtype"),
        (
            {"weight": [values(K, N).half()] * 129, "group_list": torch.arange(129)},
            "a list must have at most 128 tensors",
        ),
        (
            {"weight": [values(1025, K, 1).half()], "group_list": torch.arange(1025)},
            "at most 1024 groups",
        ),
        ({"weight": [values(GROUPS, K, 65536).half()]}, "must be less than 65536"),
    ],
)
def test_grouped_matmul_refuses(arguments, text):
    given = {
        "x": [values(ROWS, K).half()],
        "weight": [values(GROUPS, K, N).half()],
        "group_list": ENDS,
        "split_item": 3,
        "group_type": 0,
    } | arguments

    def move(value):
        if isinstance(value, list):
            return [move(v) for v in value]
        return value.npu() if isinstance(value, torch.Tensor) else value

    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_grouped_matmul, **{k: move(v) for k, v in given.items()})
