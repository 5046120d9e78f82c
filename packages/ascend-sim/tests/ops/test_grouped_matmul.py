# SPDX-License-Identifier: Apache-2.0
"""Grouped products: every expert's rows with that expert's weights."""

import pytest
import torch
import torch_npu
from _oracle import FLOATS, run_and_wait, values
from test_quant_matmul import int4, int8, packed_int4, product

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


def test_one_x_and_an_out_for_every_group():
    x, weights = values(ROWS, K).half(), list(values(GROUPS, K, N, seed=1).half())
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


# --- quantised -----------------------------------------------------------------------------------

X, WEIGHT = int8(ROWS, K), int8(GROUPS, K, N, seed=1)
SCALE, TOKENS = values(GROUPS, N, seed=2).abs() / 100, values(ROWS, seed=3).abs()
OWNER = torch.arange(GROUPS).repeat_interleave(torch.tensor(SIZES))


def _integers():
    parts = [product(rows, WEIGHT[i]) for i, rows in enumerate(X.split(SIZES))]
    return torch.cat(parts)


def _quantised(**arguments):
    defaults = {"group_list": ENDS.npu(), "split_item": 3, "group_type": 0}
    (actual,) = torch_npu.npu_grouped_matmul([X.npu()], [WEIGHT.npu()], **(defaults | arguments))
    return actual.cpu()


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["ends", "counts", "pairs"])
def test_int8_with_a_scale_per_channel_and_per_token(kind):
    actual = _quantised(
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
    actual = _quantised(
        scale=[SCALE.npu()],
        bias=[bias.npu()],
        per_token_scale=[TOKENS.npu()],
        output_dtype=torch.float16,
    )
    expected = (_integers() + bias[OWNER]).float() * SCALE[OWNER] * TOKENS.unsqueeze(1)
    assert torch.equal(actual, expected.half())


def test_the_sums_themselves_and_int8_of_a_packed_scale():
    assert torch.equal(_quantised(output_dtype=torch.int32), _integers().int())
    packed = torch_npu.npu_trans_quant_param(SCALE.npu())
    kept = (SCALE.view(torch.int32) & -8192).view(torch.float32)
    expected = (_integers().float() * kept[OWNER]).round().clamp(-128, 127)
    assert torch.equal(_quantised(scale=[packed]), expected.to(torch.int8))


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
    actual = _quantised(
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
        ({"x": [values(ROWS, K)], "weight": list(values(GROUPS, K, N))}, "float32 takes one x"),
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
