# SPDX-License-Identifier: Apache-2.0
"""Operators are no more permissive than those of a device.

Sources stand beside the limits, in `csrc/opapi/rules/limits_by_hand.cpp`, and with the
operators.
"""

import ctypes
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.aclnn import ACL_TYPES, declared_operators, refusal
from support.oracle import run_and_wait, values

INVALID = 161002
BF16 = torch.bfloat16
SCALAR_TYPES = {
    0: torch.uint8, 1: torch.int8, 2: torch.int16, 3: torch.int32, 4: torch.int64,
    5: torch.float16, 6: torch.float32, 7: torch.float64, 8: torch.complex32, 9: torch.complex64,
    10: torch.complex128, 11: torch.bool, 15: BF16, 27: torch.uint16, 28: torch.uint32,
    29: torch.uint64,
}  # fmt: skip
"""Those of ATen."""
MOST_DIMS = 8  # of any tensor
SPEC = Path(__file__).parents[3] / "spec" / "limits.toml"
PAGES = tomllib.loads(SPEC.read_text(encoding="utf-8"))


class Limit(NamedTuple):
    """What one tensor of an operator, or each of a list, is limited to.

    Attributes
    ----------
    shared
        The argument whose dtype is taken too; -1 for none.
    """

    operator: str
    argument: int
    name: str
    shared: int
    dtypes: frozenset[torch.dtype]
    least: int
    most: int


OPERATORS = declared_operators()


def _described() -> Iterator[Limit]:
    library = ctypes.CDLL("libopapi.so")
    library.ascendSimDescribeLimits.restype = ctypes.c_char_p
    for line in library.ascendSimDescribeLimits().decode().splitlines():
        operator, argument, name, *numbers = line.split()
        shared, dtypes, least, most = map(int, numbers)
        taken = frozenset(dtype for bit, dtype in SCALAR_TYPES.items() if dtypes >> bit & 1)
        if operator in OPERATORS:  # CANN has more
            yield Limit(operator, int(argument), name, shared, taken, least, most)


LIMITS: dict[str, list[Limit]] = {}
for _limit in _described():
    LIMITS.setdefault(_limit.operator, []).append(_limit)
PLAIN = {"ints": [1], "floats": [1.0], "bools": [True, True, True], "scalar": 1.0, "text": b"",
         "bool": False, "double": 1.0, "float": 1.0, "scalars": [1.0]}  # fmt: skip


def _tensor(dtype: torch.dtype, dimensions: int) -> torch.Tensor:
    return torch.empty([1] * dimensions, dtype=dtype, device="npu")


class Call:
    """A call of an operator, each argument of which by itself is taken."""

    def __init__(self, operator: str) -> None:
        self._operator = operator
        self._arguments: list[Any] = []
        limits = {limit.argument: limit for limit in LIMITS[operator]}
        for position, kind in enumerate(OPERATORS[operator]):
            if (limit := limits.get(position)) is not None:
                self._put(position, _tensor(self.right_dtype(limit), self.right_dims(limit)))
            elif kind in ("tensor", "tensors"):
                self._put(position, _tensor(torch.float32, 1))
            else:
                self._arguments.append(PLAIN.get(kind, 0))

    def _put(self, position: int, tensor: torch.Tensor) -> None:
        value = [tensor] if OPERATORS[self._operator][position] == "tensors" else tensor
        self._arguments[position : position + 1] = [value]

    @staticmethod
    def right_dims(limit: Limit) -> int:
        """Return a number of dimensions that is taken."""
        return max(limit.least, 1) if limit.most else 0

    def right_dtype(self, limit: Limit) -> torch.dtype:
        """Return a dtype that is taken."""
        if limit.shared >= 0:
            other = self._arguments[limit.shared]
            return (other[0] if isinstance(other, list) else other).dtype
        return next(dtype for dtype in ACL_TYPES if dtype in limit.dtypes)

    def refusal(self, limit: Limit, dtype: torch.dtype, dims: int) -> tuple[int, str]:
        """Make the call with another tensor in the place of one."""
        before = self._arguments[limit.argument]
        self._put(limit.argument, _tensor(dtype, dims))
        try:
            return refusal(limit.operator, *self._arguments)
        finally:
            self._arguments[limit.argument] = before

    def wrong_dtypes(self, limit: Limit) -> list[torch.dtype]:
        """Return the dtypes that are not taken."""
        taken = {*limit.dtypes, *([self.right_dtype(limit)] if limit.shared >= 0 else [])}
        return [dtype for dtype in ACL_TYPES if dtype not in taken]


def test_limits_are_of_tensors_that_operators_have():
    assert len(LIMITS) > 600
    for limits in LIMITS.values():
        for limit in limits:
            assert OPERATORS[limit.operator][limit.argument].startswith("tensor"), limit
            assert limit.shared < limit.argument, limit
            assert limit.dtypes or limit.shared >= 0, limit


@pytest.mark.parametrize("operator", LIMITS)
def test_other_dtypes_are_refused(operator):
    call = Call(operator)
    for limit in LIMITS[operator]:
        for wrong in call.wrong_dtypes(limit):
            status, text = call.refusal(limit, wrong, call.right_dims(limit))
            assert status == INVALID, (limit, wrong)
            assert f"{operator} failed: {limit.name} must be " in text


@pytest.mark.parametrize("operator", LIMITS)
def test_other_numbers_of_dimensions_are_refused(operator):
    call = Call(operator)
    for limit in LIMITS[operator]:
        for dimensions in (limit.least - 1, limit.most + 1):
            if 0 <= dimensions <= MOST_DIMS:
                status, text = call.refusal(limit, call.right_dtype(limit), dimensions)
                assert status == INVALID, (limit, dimensions)
                assert f"{operator} failed: {limit.name} must have " in text


# --- by CANN's pages -----------------------------------------------------------------------------

DIFFERENT = {
    ("aclnnAdaptiveMaxPool3dBackward", "indices"): "torch_npu passes int64 on 950",
    ("aclnnDequantSwigluQuant", "groupIndex"): "torch_npu's page and the second version's: int64",
    ("aclnnDynamicQuantV2", "groupIndex"): "its row of the table has x's dtypes, the text int32",
}
"""Tensors of which other dtypes are taken than the page says, with the reason."""


NOT_WHAT_ARRIVES = {
    ("aclnnIndex", 1),
    ("aclnnIndexPutImpl", 1),
    ("aclnnNpuFormatCast", 1),
    ("aclnnQuantMatmulV5", 7),
    ("aclnnQuantMatmulWeightNz", 7),
}
"""Tensors whose page is about something else than what torch_npu passes."""
KNOWN_BETTER = {
    "aclnnFlashAttentionScore",
    "aclnnFusedInferAttentionScoreV2",
    "aclnnFusedInferAttentionScoreV3",
}
"""Operators whose bodies know more of what is taken together."""


def _pages_of(operator: str) -> dict[int, frozenset[torch.dtype]]:
    """Argument -> its dtypes by the page of an operator."""
    page = PAGES.get(operator, {"takes": "", "inputs": []})
    tensors = [kind.startswith("tensor") for kind in OPERATORS[operator]]
    if [kind.startswith("tensor") for kind in page["takes"].split()] != tensors:
        return {}  # it is about another version
    named = {tensor["at"]: tensor.get("dtypes", "").split() for tensor in page["inputs"]}
    return {
        argument: frozenset(getattr(torch, name) for name in names)
        for argument, names in named.items()
        if names
    }


def test_what_pages_limit_is_limited_but_for_these():
    of_pages = {(op, at) for op in OPERATORS.keys() - KNOWN_BETTER for at in _pages_of(op)}
    limited = {(op, limit.argument) for op, limits in LIMITS.items() for limit in limits}
    assert of_pages - limited == NOT_WHAT_ARRIVES


def _taken(limit: Limit) -> frozenset[torch.dtype]:
    """Return the dtypes of a tensor, whatever those of the others are."""
    others = [other for other in LIMITS[limit.operator] if other.argument == limit.shared]
    return limit.dtypes.union(*map(_taken, others))


@pytest.mark.parametrize("operator", LIMITS)
def test_dtypes_are_those_of_the_page(operator):
    pages = _pages_of(operator)
    for limit in LIMITS[operator]:
        if limit.argument in pages and (operator, limit.name) not in DIFFERENT:
            expected = pages[limit.argument]
            if torch.uint64 in expected:  # instead of which torch has int64
                expected |= {torch.int64}
            assert _taken(limit) == expected, limit.name


# --- by the functions of torch -------------------------------------------------------------------


def _npu(*shape: int, dtype: torch.dtype = BF16) -> torch.Tensor:
    return values(*shape, dtype=torch.float32).to(dtype).npu()


@dataclass(frozen=True)
class Refused:
    """A call that a device refuses although it could be computed, with words of its error."""

    name: str
    text: str
    call: Any


def _mrope(size: int, rotary: int) -> Any:
    positions = torch.zeros(2, dtype=torch.int64, device="npu")
    return torch_npu.npu_mrope(
        positions, _npu(2, size), _npu(2, size), _npu(4, rotary), size, mrope_section=[0, 0, 0]
    )


def _apply_rotary(size: int, layout: str = "BSND", mode: str = "half", heads: int = 1) -> Any:
    x, angles = _npu(1, 2, 2, size), _npu(1, 2, heads, size)
    return torch_npu.npu_apply_rotary_pos_emb(x, x.clone(), angles, angles, layout, mode)


def _finalize(scales: torch.dtype, index: torch.dtype = torch.int32) -> Any:
    rows = torch.arange(4, device="npu").to(index)
    return torch_npu.npu_moe_finalize_routing(
        _npu(4, 8), None, None, None, _npu(2, 2, dtype=scales), rows, None, drop_pad_mode=2
    )


F32, F16, I32 = torch.float32, torch.float16, torch.int32
REFUSED = [
    Refused("gamma of AddRmsNorm", r"gamma must be bfloat16 .as x1., got float32",
            lambda: torch_npu.npu_add_rms_norm(_npu(2, 8), _npu(2, 8), _npu(8, dtype=F32))),
    Refused("gamma of RmsNorm", r"gamma must be bfloat16 .as x. or float32, got float16",
            lambda: torch_npu.npu_rms_norm(_npu(2, 8), _npu(8, dtype=F16))),
    Refused("RmsNorm in fp64", "x must be float16, float32 or bfloat16, got float64",
            lambda: torch_npu.npu_rms_norm(_npu(2, 8, dtype=torch.float64), _npu(8))),
    Refused("LayerNorm's weight", r"weight must be bfloat16 .as input. or float32, got float16",
            lambda: F.layer_norm(_npu(2, 8), [8], _npu(8, dtype=F16), _npu(8, dtype=F16))),
    Refused("product of integers", "self must be float16, float32 or bfloat16, got int32",
            lambda: _npu(2, 2, dtype=I32) @ _npu(2, 2, dtype=I32)),
    Refused("padding of a convolution", "padding must be from 0 to 255",
            lambda: F.conv2d(_npu(1, 1, 2, 2), _npu(1, 1, 2, 2), padding=256)),
    Refused("dilation of a transposed one", "dilation must be from 1 to 255",
            lambda: F.conv_transpose2d(_npu(1, 1, 2, 2), _npu(1, 1, 2, 2), dilation=256)),
    Refused("stride of a 3d convolution", "stride must be from 1 to 63",
            lambda: F.conv3d(_npu(1, 1, 2, 2, 2), _npu(1, 1, 1, 1, 1), stride=64)),
    Refused("window of a transposed one", "weight must have a window of at most 255",
            lambda: F.conv_transpose2d(_npu(1, 1, 1, 1), _npu(1, 1, 256, 1))),
    Refused("groups of a convolution", "groups must be from 1 to 65535, got 65536",
            lambda: F.conv1d(_npu(1, 65536, 1), _npu(65536, 1, 1), groups=65536)),
    Refused("length of a convolution", "must have dimensions of at most 1000000",
            lambda: F.conv1d(_npu(1, 1, 1000001), _npu(1, 1, 1))),
    Refused("dilated maxima", "dilation must be 1, got 2",
            lambda: F.max_pool2d(_npu(1, 1, 5, 5), 2, dilation=2)),
    Refused("mean in fp64", "self must be float16, float32 or bfloat16, got float64",
            lambda: F.avg_pool2d(_npu(1, 1, 4, 4, dtype=torch.float64), 2)),
    Refused("head size of mrope", "headSize must be a multiple of 32 with BFloat16, got 48",
            lambda: _mrope(48, 32)),
    Refused("columns of mrope's cache", "must have a multiple of 32 columns up to headSize, got 16",
            lambda: _mrope(64, 16)),
    Refused("size of rotary_mul", "must be even and less than 896, got 896",
            lambda: torch_npu.npu_rotary_mul(_npu(1, 2, 2, 896), _npu(1, 2, 1, 896),
                                             _npu(1, 2, 1, 896))),
    Refused("angles of rotary_mul", "cos must have x's last dimension, got 4",
            lambda: torch_npu.npu_rotary_mul(_npu(1, 2, 2, 8), _npu(1, 2, 1, 4), _npu(1, 2, 1, 4))),
    Refused("mode of apply_rotary_pos_emb", "rotaryMode must be 'half', got 'interleave'",
            lambda: _apply_rotary(64, mode="interleave")),
    Refused("angles of every head", "cos and sin must have one head, got 2",
            lambda: _apply_rotary(64, heads=2)),
    Refused("size of apply_rotary_pos_emb", "must be 64 or 128, got 32",
            lambda: _apply_rotary(32)),
    Refused("layout of apply_rotary_pos_emb", r"layout must be BSND .1. or TND .4., got 3",
            lambda: _apply_rotary(64, "BNSD")),
    Refused("scales of finalize_routing", r"scales must be bfloat16 .as expandedX. or float32, got",
            lambda: _finalize(F16)),
    Refused("index of finalize_routing", "expandedRowIdx must be int32, got int64",
            lambda: _finalize(BF16, torch.int64)),
    Refused("smooth_scales of dynamic_quant", r"smoothScales must be bfloat16 .as x.",
            lambda: torch_npu.npu_dynamic_quant(_npu(2, 8), smooth_scales=_npu(8, dtype=F16))),
    Refused("heads of attention_update", "must be a multiple of 8",
            lambda: torch_npu.npu_attention_update([_npu(2, dtype=F32)] * 2, [_npu(2, 12)] * 2, 0)),
]  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_what_a_device_refuses_is_refused(refused):
    with pytest.raises(RuntimeError, match=refused.text) as error:
        run_and_wait(refused.call)
    assert "`--limits off` lifts it" in str(error.value)


def test_the_precision_of_a_product_is_one_of_those_there_are():
    matrix = torch.zeros(2, 2, dtype=BF16, device="npu")
    status, text = refusal("aclnnMm", matrix, matrix, matrix.clone(), 5)
    assert status == INVALID
    assert "cubeMathType must be 0 to 4, got 5" in text


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({"ranks": 1}, "epWorldSize must be from 2 to 768, got 1"),
        ({"experts": 1025}, "moeExpertNum must be at most 1024, got 1025"),
        ({"h": 1000}, "H must be from 1024 to 8192, got 1000"),
        ({"tokens": 513}, "BS must be from 1 to 512, got 513"),
        ({"k": 9}, "K must be at most 8, got 9"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_limits_of_combine_add_rms_norm(sizes, text):
    """`npu_moe_distribute_combine_add_rms_norm.md`; between ranks: `tests/package`."""
    s = {"ranks": 2, "experts": 16, "h": 1024, "tokens": 1, "k": 2} | sizes
    tokens, h, k = s["tokens"], s["h"], s["k"]
    one = torch.zeros(1, dtype=I32, device="npu")
    tensors = [
        torch.zeros(tokens * k, h, dtype=BF16, device="npu"),
        torch.zeros(tokens, k, dtype=I32, device="npu"),
        one,
        one,
        torch.zeros(tokens, k, device="npu"),
        torch.zeros(tokens, 1, h, dtype=BF16, device="npu"),
        torch.zeros(h, dtype=BF16, device="npu"),
    ]
    results = [torch.zeros_like(tensors[5]), torch.zeros(tokens, 1, 1, device="npu")]
    status, message = refusal(
        "aclnnMoeDistributeCombineAddRmsNormV2",
        *tensors,
        *[None] * 12,
        *(b"group", s["ranks"], 0, s["experts"], b"", *[0] * 3, 1, *[0] * 5, b"", 1e-6, *[0] * 3),
        *results,
        torch.zeros_like(tensors[5]),
    )
    assert status == INVALID
    assert text in message
