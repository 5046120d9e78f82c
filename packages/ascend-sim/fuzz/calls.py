# SPDX-License-Identifier: Apache-2.0
"""Random calls of operators: what hypothesis draws, and shrinks when one ends the process.

A call is plain data (it goes to the worker as JSON): the operator, a value for each argument by its
kind, and what is done with the executor. Most arguments are plausible, so that the bodies of
operators are reached; the others are what no caller should pass.
"""

from typing import Any

from hypothesis import strategies as st

__all__ = ["calls"]

HUGE = (1 << 31, 1 << 40, (1 << 62) + 1, (1 << 63) - 1)
DTYPES = (0, 0, 0, 1, 27, 9, 9, 3, 12, 2, 4, 6, 11, 16, 29, 34, 99, -1)
FORMATS = (2, 2, 2, 2, 2, 0, -1, 29, 30, 77)
TEXTS = (
    "", "BSH", "BSND", "BNSD", "BNSD_BSND", "TND", "NTD", "SBH", "XYZ", "Norm", "PA_NZ", "None",
    "half", "interleave", "none", "tanh", "mean", "sum", "rint", "group",
)  # fmt: skip
CONTENTS = ("places", "places", "zeros", "numbers", "halves", "minus one", "wild")
EXECUTORS = ("run", "run", "run", "run", "twice", "of another", "null", "destroyed", "repeated")

small = st.integers(0, 8)
integers = st.one_of(st.integers(-4, 8), st.sampled_from((*HUGE, *(-h for h in HUGE))))
memories = st.sampled_from(["small", "large", "large", "large", "null", "freed", "host"])


def bad_handles(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Pointers that are no live handle of the kind."""
    return st.one_of(
        st.just({"is": "null"}),
        st.just({"is": "destroyed", "kind": kind}),
        st.just({"is": "foreign", "kind": "tensor" if kind == "ints" else "ints"}),
        st.builds(lambda a: {"is": "address", "value": a}, st.integers(1, (1 << 47) - 1)),
    )


def _dense(sizes: list[int]) -> list[int]:
    strides, step = [], 1
    for size in reversed(sizes):
        strides.append(step)
        step *= max(size, 1)
    return strides[::-1]


@st.composite
def tensors(draw: st.DrawFn, shape: list[int], dtype: int) -> dict[str, Any]:
    """Draw a tensor, mostly related to the shape and dtype that the call is about."""
    way = draw(st.integers(0, 9))
    sizes = list(shape)
    if way == 1:
        sizes = draw(st.permutations(shape))
    elif way == 2:
        sizes = [draw(st.sampled_from((size, 1))) for size in shape]
    elif way >= 8:
        sizes = draw(st.lists(small, max_size=5))
    strides = _dense(sizes)
    if sizes and draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(sizes) - 1))
        strides[place] = draw(st.one_of(small, st.sampled_from((-1, *HUGE))))
    if sizes and draw(st.integers(0, 19)) == 0:
        sizes[draw(st.integers(0, len(sizes) - 1))] = draw(st.sampled_from((-1, *HUGE)))
    plain = draw(st.integers(0, 4)) > 0
    return {
        "is": "tensor",
        "sizes": sizes,
        "strides": strides,
        "offset": 0 if plain else draw(st.one_of(small, st.sampled_from((-1, *HUGE)))),
        "dtype": dtype if plain else draw(st.sampled_from(DTYPES)),
        "format": 2 if plain else draw(st.sampled_from(FORMATS)),
        "storage": 1 << 13 if plain else draw(st.sampled_from((0, 8, *HUGE))),
        "memory": "large" if plain else draw(memories),
    }


@st.composite
def _handles(draw: st.DrawFn, kind: str, shape: list[int], dtype: int) -> dict[str, Any]:
    if draw(st.integers(0, 14)) == 14:
        return draw(bad_handles(kind))
    if kind == "tensor":
        return draw(tensors(shape, dtype))
    scalar = st.builds(
        lambda number: {"is": "scalar", "value": number, "dtype": 9}, st.integers(-9, 9)
    )
    items: st.SearchStrategy[Any] = {
        "scalars": st.one_of(scalar, scalar, bad_handles("scalar")),
        "tensors": st.one_of(tensors(shape, dtype), tensors(shape, dtype), bad_handles("tensor")),
        "ints": integers,
        "floats": st.floats(width=32),
        "bools": st.booleans(),
    }.get(kind, integers)
    if kind == "scalar":
        type_ = draw(st.sampled_from(DTYPES))
        value = draw(st.floats() if type_ in (0, 11) else integers)
        return {"is": "scalar", "value": value, "dtype": type_}
    return {"is": kind, "values": draw(st.lists(items, max_size=5))}


def _argument(kind: str, shape: list[int], dtype: int) -> st.SearchStrategy[Any]:
    match kind:
        case "int64" | "int32" | "int8":
            bits = int(kind[3:])
            return integers.map(lambda n: (n + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1))
        case "bool":
            return st.booleans()
        case "double" | "float":
            return st.floats(width=64 if kind == "double" else 32)
        case "text":
            return st.one_of(st.sampled_from(TEXTS), st.none(), st.text("aBN_0", max_size=6))
    return _handles(kind, shape, dtype)


@st.composite
def calls(draw: st.DrawFn, operators: dict[str, list[str]]) -> dict[str, Any]:
    """Draw a call of one of the operators, given with the kinds of their arguments."""
    name = draw(st.sampled_from(sorted(operators)))
    shape = draw(st.lists(small, max_size=4))
    dtype = draw(st.sampled_from(DTYPES[:9]))
    arguments = [draw(_argument(kind, shape, dtype)) for kind in operators[name]]
    executor = draw(st.sampled_from(EXECUTORS))
    content = draw(st.sampled_from(CONTENTS))
    return {"op": name, "arguments": arguments, "executor": executor, "content": content}
