# SPDX-License-Identifier: Apache-2.0
"""Every function of these tables equals the CPU's for any shape, dtype, strides and offset.

The tables say what a function takes; hypothesis draws shapes (also empty and zero-dimensional),
dtypes, strides, dimensions and indices.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.oracle import FLOATS, INTS, assert_same
from support.strategies import broadcastable, shapes, tensors

NUMBERS = [*FLOATS, torch.int64, torch.int32]
WITH_PLACES = [*FLOATS, torch.int64]  # of which a device also says where the extreme is
EVERYTHING = [*FLOATS, *INTS, torch.bool]

quick = settings(
    derandomize=True,
    deadline=None,
    max_examples=12,
    database=None,
    phases=[Phase.generate],  # after an error of the device no smaller example means anything
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def function(name: str) -> Callable[..., Any]:
    """Return the function, or the method for names that end with an underscore."""
    if name.endswith("_"):
        return lambda tensor, *rest: getattr(tensor, name)(*rest)
    return getattr(torch, name, None) or getattr(F, name)


def cases(table: dict[str, dict[str, str]]) -> list[tuple[str, str, str]]:
    """Return (name, domain of the numbers, kind of dtypes) of each function of a table."""
    return [
        (name, domain, kind)
        for domain, kinds in table.items()
        for kind, names in kinds.items()
        for name in names.split()
    ]


# --- of one element -------------------------------------------------------------------------------

UNARY = {
    "any": {
        "numbers": "abs neg sign square relu",
        "floats": """
            atan ceil cos cosh erf erfc exp exp2 expm1 floor frac nan_to_num round sin sinc
            sinh tanh trunc sigmoid asinh gelu silu softplus elu hardswish hardsigmoid mish
            leaky_relu hardtanh relu6 softshrink hardshrink tanhshrink logsigmoid selu softsign
        """,
        "everything": "isfinite isinf isnan isneginf isposinf logical_not",
        "integers": "bitwise_not",
    },
    "positive": {"floats": "log log10 log2 log1p sqrt rsqrt reciprocal"},
    "unit": {"floats": "acos asin atanh erfinv tan logit"},
    "above one": {"floats": "acosh"},
}
DTYPES = {
    "numbers": NUMBERS,
    "floats": FLOATS,
    "everything": EVERYTHING,
    "integers": [*INTS, torch.bool],
}


@pytest.mark.parametrize(("name", "domain", "kind"), cases(UNARY))
@quick
@given(st.data())
def test_function_of_one_element(name, domain, kind, data):
    dtype = data.draw(st.sampled_from(DTYPES[kind]))
    assert_same(function(name), data.draw(tensors(data.draw(shapes()), dtype, domain)))


IN_PLACE = """
    abs_ neg_ cos_ sin_ exp_ exp2_ expm1_ floor_ ceil_ round_ trunc_ frac_ sigmoid_ tanh_ erf_ relu_
    zero_ atan_ asinh_ sinh_ cosh_ square_ sgn_ logical_not_
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", IN_PLACE)
@quick
@given(st.data())
def test_function_in_place(name, data):
    dtype = data.draw(st.sampled_from(FLOATS))
    assert_same(function(name), data.draw(tensors(data.draw(shapes()), dtype)))


# --- of two or three elements ---------------------------------------------------------------------

BINARY = {
    "any": {
        "numbers": "add sub mul maximum minimum rsub",
        "floats": "atan2 logaddexp logaddexp2 xlogy hypot copysign fmin fmax",
        "everything": "eq ne gt ge lt le logical_and logical_or logical_xor",
        "integers": "bitwise_and bitwise_or bitwise_xor",
    },
    "positive": {
        "numbers": "div true_divide floor_divide remainder fmod pow",
    },
}


@pytest.mark.parametrize(("name", "domain", "kind"), cases(BINARY))
@quick
@given(st.data())
def test_function_of_two_elements(name, domain, kind, data):
    dtype = data.draw(st.sampled_from(DTYPES[kind]))
    assert_same(
        function(name),
        *(data.draw(tensors(shape, dtype, domain)) for shape in data.draw(broadcastable(2))),
    )


TAKES_A_NUMBER = """
    add sub mul div floor_divide remainder fmod pow xlogy copysign eq ne gt ge lt le
    bitwise_and bitwise_or bitwise_xor
""".split()  # noqa: SIM905


@pytest.mark.parametrize(
    ("name", "domain", "kind"), [case for case in cases(BINARY) if case[0] in TAKES_A_NUMBER]
)
@quick
@given(st.data())
def test_function_with_a_number(name, domain, kind, data):
    dtype = data.draw(st.sampled_from(DTYPES[kind]))
    number = data.draw(st.sampled_from([1, 2, 3, True] if kind == "integers" else [1, 2, 0.5, 3]))
    assert_same(
        lambda tensor: function(name)(tensor, number),
        data.draw(tensors(data.draw(shapes()), dtype, domain)),
    )


PAIRS = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.bool]


@pytest.mark.parametrize("name", ["add", "mul", "div", "lt", "eq", "maximum"])
@quick
@given(st.data())
def test_dtypes_promote(name, data):
    left, right = data.draw(st.sampled_from(PAIRS)), data.draw(st.sampled_from(PAIRS))
    shape = data.draw(shapes())
    assert_same(
        function(name),
        data.draw(tensors(shape, left, "positive")),
        data.draw(tensors(shape, right, "positive")),
    )


TERNARY = {
    "addcmul": lambda a, b, c: torch.addcmul(a, b, c, value=0.5),
    "addcdiv": lambda a, b, c: torch.addcdiv(a, b, c.abs() + 1, value=0.5),
    "lerp": torch.lerp,
    "lerp by a number": lambda a, b, c: torch.lerp(a, b, 0.3) + c,
    "clamp": lambda a, b, c: torch.clamp(a, torch.minimum(b, c), torch.maximum(b, c)),
    "clamp by numbers": lambda a, b, c: (a.clamp(-0.5, 0.5), b.clamp(min=0.1), c.clamp_max(0.2)),
    "where": lambda a, b, c: torch.where(a > 0, b, c),
    "where with numbers": lambda a, b, c: torch.where(a > 0, b, 1.0) + torch.where(c > 0, 0.0, a),
    "masked_fill": lambda a, b, c: (a + b + c).masked_fill(b > 0, -1.0),
}


@pytest.mark.parametrize("name", TERNARY)
@quick
@given(st.data())
def test_function_of_three_elements(name, data):
    dtype = data.draw(st.sampled_from(FLOATS))
    assert_same(
        TERNARY[name], *(data.draw(tensors(shape, dtype)) for shape in data.draw(broadcastable(3)))
    )


# --- of a dimension -------------------------------------------------------------------------------


def keeping(name: str, **options: Any) -> Callable[..., Any]:
    """Return a reduction of one dimension that may keep it."""
    return lambda t, dim, keep: getattr(torch, name)(t, dim=dim, keepdim=keep, **options)


REDUCTIONS: dict[str, tuple[list[torch.dtype], Callable[..., Any]]] = {
    "sum": (EVERYTHING, keeping("sum")),
    "mean": (FLOATS, keeping("mean")),
    "nansum": (FLOATS, keeping("nansum")),
    "prod": (NUMBERS, keeping("prod")),
    "amax": (NUMBERS, keeping("amax")),
    "amin": (NUMBERS, keeping("amin")),
    "aminmax": (NUMBERS, keeping("aminmax")),
    "max": (WITH_PLACES, lambda *a: keeping("max")(*a).values),
    "min": (WITH_PLACES, lambda *a: keeping("min")(*a).values),
    "median": (NUMBERS, lambda *a: keeping("median")(*a).values),
    "logsumexp": (FLOATS, keeping("logsumexp")),
    "var": (FLOATS, keeping("var", correction=0)),
    "std": (FLOATS, keeping("std", correction=0)),
    "var_mean": (FLOATS, keeping("var_mean", correction=0)),
    "std_mean": (FLOATS, keeping("std_mean", correction=0)),
    "norm": (FLOATS, keeping("norm")),
    "norm 1": (FLOATS, keeping("norm", p=1)),
    "norm 0": (FLOATS, keeping("norm", p=0)),
    "norm inf": (FLOATS, keeping("norm", p=float("inf"))),
    "norm -inf": (FLOATS, keeping("norm", p=float("-inf"))),
    "norm 2.5": (FLOATS, keeping("norm", p=2.5)),
    "all": ([torch.bool, torch.uint8, torch.int32, torch.float32], keeping("all")),
    "any": ([torch.bool, torch.uint8, torch.int32, torch.float32], keeping("any")),
    "count_nonzero": (NUMBERS, lambda t, dim, keep: torch.count_nonzero(t, dim)),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@quick
@given(st.data())
def test_reduction_of_a_dimension(name, data):
    dtypes, reduce = REDUCTIONS[name]
    shape = data.draw(shapes(least=1).filter(all))
    dim, keep = data.draw(st.integers(-len(shape), len(shape) - 1)), data.draw(st.booleans())
    tensor = data.draw(tensors(shape, data.draw(st.sampled_from(dtypes))))
    assert_same(lambda t: reduce(t, dim, keep), tensor)


TOTALS = """
    sum mean prod max min amax amin std_mean var all any norm median nansum count_nonzero
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", TOTALS)
@quick
@given(st.data())
def test_reduction_of_all_elements(name, data):
    shape = data.draw(shapes().filter(lambda s: all(s)))
    options = {"correction": 0} if name in ("std_mean", "var") else {}
    tensor = data.draw(tensors(shape, data.draw(st.sampled_from(FLOATS))))
    assert_same(lambda t: getattr(torch, name)(t, **options), tensor, scale=4)


@quick
@given(st.data())
def test_sum_and_mean_of_several_dimensions(data):
    shape = data.draw(shapes(least=2))
    dims = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    tensor = data.draw(tensors(shape, data.draw(st.sampled_from(FLOATS))))
    assert_same(lambda t: (t.sum(dims), t.mean(dims, keepdim=True)), tensor)


SCANS: dict[str, tuple[list[torch.dtype], Callable[..., Any]]] = {
    "cumsum": (NUMBERS, torch.cumsum),
    "cumprod": (FLOATS, torch.cumprod),
    "cummax": (FLOATS, lambda t, dim: torch.cummax(t, dim).values),
    "cummin": (FLOATS, lambda t, dim: torch.cummin(t, dim).values),
    "softmax": (FLOATS, torch.softmax),
    "softmax to float": (FLOATS, lambda t, dim: torch.softmax(t, dim, dtype=torch.float32)),
    "log_softmax": (FLOATS, torch.log_softmax),
    "flip": (EVERYTHING, lambda t, dim: t.flip(dim)),
    "roll": (EVERYTHING, lambda t, dim: t.roll(2, dim)),
    "sort": (NUMBERS, lambda t, dim: t.sort(dim).values),
    "stable sort": (NUMBERS, lambda t, dim: tuple(t.sort(dim=dim, stable=True))),
    "descending sort": (
        NUMBERS,
        lambda t, dim: tuple(t.sort(dim=dim, descending=True, stable=True)),
    ),
    "argsort": (NUMBERS, lambda t, dim: t.argsort(dim=dim, stable=True)),
    "topk": (NUMBERS, lambda t, dim: t.topk((t.shape[dim] + 1) // 2, dim).values),
    "smallest": (NUMBERS, lambda t, dim: t.topk(1, dim, largest=False).values),
    "kthvalue": (FLOATS, lambda t, dim: t.kthvalue(t.shape[dim], dim).values),
    "argmax": (FLOATS, lambda t, dim: t.gather(dim, t.argmax(dim, keepdim=True))),
    "argmin": (FLOATS, lambda t, dim: t.gather(dim, t.argmin(dim, keepdim=True))),
    "unbind": (EVERYTHING, lambda t, dim: t.unbind(dim)),
    "narrow": (EVERYTHING, lambda t, dim: t.narrow(dim, 0, (t.shape[dim] + 1) // 2) + 0),
    "chunk": (EVERYTHING, lambda t, dim: [part.clone() for part in t.chunk(2, dim)]),
    "cat": (EVERYTHING, lambda t, dim: torch.cat([t, t.flip(0), t], dim)),
    "stack": (EVERYTHING, lambda t, dim: torch.stack([t, t], dim)),
    "repeat_interleave": (NUMBERS, lambda t, dim: t.repeat_interleave(3, dim)),
    "diff": (FLOATS, lambda t, dim: t.diff(dim=dim)),
    "normalize": (FLOATS, lambda t, dim: F.normalize(t, dim=dim)),
}


@pytest.mark.parametrize("name", SCANS)
@quick
@given(st.data())
def test_function_along_a_dimension(name, data):
    dtypes, along = SCANS[name]
    shape = data.draw(shapes(least=1).filter(all))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    tensor = data.draw(tensors(shape, data.draw(st.sampled_from(dtypes))))
    assert_same(lambda t: along(t, dim), tensor)


# --- shapes and copies ----------------------------------------------------------------------------

SHAPES: dict[str, Callable[..., Any]] = {
    "clone": torch.clone,
    "contiguous": lambda t: t.contiguous(),
    "transposed": lambda t: t.transpose(0, -1).contiguous(),
    "flattened": lambda t: t.reshape(-1),
    "repeated": lambda t: t.repeat(2, *[1] * t.dim()),
    "filled": lambda t: torch.full_like(t, 3),
    "ones": torch.ones_like,
    "copied over": lambda t: torch.zeros_like(t).copy_(t),
    "tril": lambda t: t.tril(-1),
    "triu": lambda t: t.triu(1),
    "padded": lambda t: F.pad(t, (1, 2), value=1),
    "diagonal": lambda t: t.diagonal(dim1=0, dim2=-1).clone(),
    "halved": lambda t: t[..., ::2].contiguous(),
}


@pytest.mark.parametrize("name", SHAPES)
@quick
@given(st.data())
def test_copy_of_a_tensor(name, data):
    tensor = data.draw(tensors(data.draw(shapes(least=2)), data.draw(st.sampled_from(EVERYTHING))))
    assert_same(SHAPES[name], tensor, exact=True)


@quick
@given(st.data())
def test_conversion_between_dtypes(data):
    source, target = (data.draw(st.sampled_from(EVERYTHING)) for _ in range(2))
    if target in (torch.uint8, torch.bool) and source.is_floating_point:
        source = torch.int64  # a negative float has no defined uint8
    tensor = data.draw(tensors(data.draw(shapes()), source))
    assert_same(lambda t: t.to(target), tensor, exact=True)


# --- indices --------------------------------------------------------------------------------------


def indices(high: int, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(seed))


GATHERS: dict[str, Callable[..., Any]] = {
    "index_select": lambda t, dim, rows: t.index_select(dim, rows),
    "int32 index_select": lambda t, dim, rows: t.index_select(dim, rows.int()),
    "take_along": lambda t, dim, rows: t.movedim(dim, -1).take_along_dim(
        rows.expand(*t.movedim(dim, -1).shape[:-1], -1), -1
    ),
    "index": lambda t, dim, rows: t.movedim(dim, 0)[rows],
    "index after a slice": lambda t, dim, rows: t.movedim(dim, -1)[..., rows],
    "boolean index": lambda t, dim, rows: t[t > 0],
    "masked_select": lambda t, dim, rows: t.masked_select(t > 0),
    "nonzero": lambda t, dim, rows: t.nonzero(),
    "nonzero as tuple": lambda t, dim, rows: t.nonzero(as_tuple=True),
    "embedding": lambda t, dim, rows: F.embedding(
        rows, t.movedim(dim, 0).reshape(t.shape[dim], -1)
    ),
    "take": lambda t, dim, rows: t.take(rows),
    "unique": lambda t, dim, rows: t.unique(return_inverse=True, return_counts=True),
    "unique_dim": lambda t, dim, rows: t.unique(dim=dim, return_counts=True),
    "unique_consecutive": lambda t, dim, rows: t.round().unique_consecutive(return_counts=True),
    "index_fill": lambda t, dim, rows: t.index_fill(dim, rows, 3.0),
    "index_add": lambda t, dim, rows: t.index_add(dim, rows, t.index_select(dim, rows)),
    "index_copy": lambda t, dim, rows: t.index_copy(
        dim, rows.unique(), t.index_select(dim, rows.unique()) * 2
    ),
    "scatter": lambda t, dim, rows: t.scatter(dim, _first(t, dim, rows), 5.0),
    "scatter_add": lambda t, dim, rows: t.scatter_add(
        dim, _first(t, dim, rows), t.index_select(dim, rows)
    ),
    "scatter_reduce": lambda t, dim, rows: t.scatter_reduce(
        dim, _first(t, dim, rows), t.index_select(dim, rows), "amax"
    ),
    "index_put": lambda t, dim, rows: t.movedim(dim, 0).contiguous().index_put_((rows,), t.sum()),
    "accumulate": lambda t, dim, rows: (
        t.movedim(dim, 0)
        .contiguous()
        .index_put_((rows,), torch.ones_like(t.movedim(dim, 0)[rows]), accumulate=True)
    ),
    "masked_scatter": lambda t, dim, rows: t.masked_scatter(t > 0, t.neg().contiguous()),
    "assignment": lambda t, dim, rows: t.movedim(dim, 0).clone().__setitem__(rows, 0.0) or t,
    "one_hot": lambda t, dim, rows: F.one_hot(rows, t.shape[dim]),
    "bincount": lambda t, dim, rows: torch.bincount(rows, minlength=4),
    "isin": lambda t, dim, rows: torch.isin(rows, rows[:2]),
    # torch_npu warns of values that are not contiguous.
    "searchsorted": lambda t, dim, rows: torch.searchsorted(
        t.flatten().sort().values, t.contiguous()
    ),
    "bucketize": lambda t, dim, rows: torch.bucketize(
        t.contiguous(), t.flatten().sort().values, right=True
    ),
    "repeat_interleave": lambda t, dim, rows: t.movedim(dim, 0).repeat_interleave(
        rows[:1].expand(t.shape[dim]), 0
    ),
    "histc": lambda t, dim, rows: torch.histc(t, 7, -3, 3),
}


def _first(t: torch.Tensor, dim: int, rows: torch.Tensor) -> torch.Tensor:
    """Return `rows` as the index of whole slices of `dim`."""
    return rows.view([-1 if i == dim else 1 for i in range(t.dim())]).expand(
        [len(rows) if i == dim else size for i, size in enumerate(t.shape)]
    )


@pytest.mark.filterwarnings("ignore:torch.searchsorted.*non-contiguous:UserWarning")
@pytest.mark.filterwarnings("ignore:torch.bucketize.*non-contiguous:UserWarning")
@pytest.mark.parametrize("name", GATHERS)
@quick
@given(st.data())
def test_function_of_indices(name, data):
    shape = data.draw(shapes(least=1).filter(all))
    dim = data.draw(st.integers(0, len(shape) - 1))
    count, seed = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 99))
    tensor = data.draw(tensors(shape, torch.float32))
    rows = indices(shape[dim], (count,), seed)
    assert_same(lambda t, i: GATHERS[name](t, dim, i), tensor, rows)


# --- matrices -------------------------------------------------------------------------------------

PRODUCTS: dict[str, Callable[..., Any]] = {
    "mm": lambda a, b, c: a @ b,
    "mm of transposes": lambda a, b, c: b.t() @ a.t(),
    "bmm": lambda a, b, c: torch.bmm(a.expand(3, *a.shape), torch.stack([b, 2 * b, -b])),
    "batched by one matrix": lambda a, b, c: torch.stack([a, a + 1]) @ b,
    "mv": lambda a, b, c: a @ c[0].new_ones(a.shape[1]),
    "dot": lambda a, b, c: a.flatten().dot(a.flatten()),
    "addmm": lambda a, b, c: torch.addmm(c, a, b, beta=0.5, alpha=2),
    "addmm with a row": lambda a, b, c: torch.addmm(c[0], a, b),
    "linear": lambda a, b, c: F.linear(a, b.t(), c[0]),
    "baddbmm": lambda a, b, c: torch.baddbmm(c[None], a[None], b[None], alpha=0.5),
    "einsum": lambda a, b, c: torch.einsum("mk,kn->nm", a, b),
    "outer": lambda a, b, c: torch.outer(a[0], b[:, 0]),
}


@pytest.mark.parametrize("name", PRODUCTS)
@quick
@given(st.data())
def test_product_of_matrices(name, data):
    m, k, n = (data.draw(st.integers(1, 9)) for _ in range(3))
    dtype = data.draw(st.sampled_from(FLOATS))
    operands = [data.draw(tensors(shape, dtype, "unit")) for shape in ((m, k), (k, n), (m, n))]
    assert_same(PRODUCTS[name], *operands, scale=4)
