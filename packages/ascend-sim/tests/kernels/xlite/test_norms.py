# SPDX-License-Identifier: Apache-2.0
"""norm and qk_rms_norm."""

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, f32, u32
from rounding import HALVES, assert_rounded, values

RMS, LAYER, L2 = 0, 1, 2
EPSILON = 1e-5


def name(dtype: torch.dtype) -> str:
    return {torch.bfloat16: "bfloat16_t", torch.float16: "float16_t"}[dtype]


def norm(
    kernels: Kernels,
    x: torch.Tensor,
    out: torch.Tensor,
    *,
    addend: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    kind: int = RMS,
    groups: int = 1,
    size: int | None = None,
    begin: int = 0,
    out_begin: int = 0,
    apply: bool = True,
    variance: torch.Tensor | None = None,
    ranks: int = 1,
) -> None:
    size = size or x.size(1) // groups
    kernels.run(
        f"norm_{name(x.dtype)}",
        *(x, addend, weight, bias, out, u32(x.size(0)), u32(size), f32(EPSILON), u32(kind)),
        *(u32(groups), u32(x.stride(0)), u32(out.stride(0)), u32(begin), u32(out_begin)),
        *(apply, variance, u32(ranks), out.dtype == torch.float32),
    )


@pytest.mark.parametrize("dtype", HALVES)
def test_rms_norm_divides_by_the_root_of_the_mean_square(kernels: Kernels, dtype) -> None:
    # given
    x, weight = values(5, 256, dtype=dtype), values(256, dtype=dtype, seed=1)
    out = torch.zeros_like(x)
    # when
    norm(kernels, x, out, weight=weight)
    # then
    wide = x.double()
    root = (wide.square().mean(-1, keepdim=True) + EPSILON).sqrt()
    assert_rounded(out, wide / root * weight.double())


def test_layer_norm_and_l2_norm(kernels: Kernels) -> None:
    # given
    x, weight, bias = (values(*shape, seed=i) for i, shape in enumerate([(3, 64), (64,), (64,)]))
    layer, l2 = torch.zeros_like(x), torch.zeros_like(x)
    # when
    norm(kernels, x, layer, weight=weight, bias=bias, kind=LAYER)
    norm(kernels, x, l2, kind=L2)
    # then
    wide = x.double()
    expected = torch.nn.functional.layer_norm(wide, (64,), weight.double(), bias.double(), EPSILON)
    assert_rounded(layer, expected)
    assert_rounded(l2, wide / (wide.square().sum(-1, keepdim=True) + EPSILON).sqrt())


def test_a_sum_is_stored_rounded_and_normalized_unrounded(kernels: Kernels) -> None:
    # given a residual, and a small addend that rounding would lose
    x, residual = values(4, 128), values(4, 128, seed=1) * 64
    exact = x.float() + residual.float()
    stored = residual.clone()
    out = torch.zeros_like(x)
    # when
    norm(kernels, x, out, addend=stored)
    # then
    torch.testing.assert_close(stored, exact.bfloat16(), rtol=0, atol=0)
    root = (exact.double().square().mean(-1, keepdim=True) + EPSILON).sqrt()
    assert_rounded(out, exact.double() / root)


def test_groups_of_a_row_are_normalized_where_they_lie(kernels: Kernels) -> None:
    # given rows of 3 heads of 16 behind 32 other numbers
    x = values(4, 80)
    out = x.clone()
    # when
    norm(kernels, x, out, groups=3, size=16, begin=32, out_begin=32)
    # then
    heads = x[:, 32:].double().view(4, 3, 16)
    expected = heads / (heads.square().mean(-1, keepdim=True) + EPSILON).sqrt()
    assert_rounded(out[:, 32:], expected.view(4, 48))
    torch.testing.assert_close(out[:, :32], x[:, :32], rtol=0, atol=0)


def test_statistics_of_ranks_are_made_and_used(kernels: Kernels) -> None:
    # given a row whose halves are on two ranks
    x = values(4, 128)
    halves = [half.contiguous() for half in x.chunk(2, -1)]
    statistics = [torch.zeros(4, 1) for _ in halves]
    # when each gives its mean square, and one applies their sum
    for half, statistic in zip(halves, statistics, strict=True):
        norm(kernels, half, statistic, apply=False)
    out = torch.zeros_like(halves[0])
    norm(kernels, halves[0], out, variance=statistics[0] + statistics[1], ranks=2)
    # then it is as if the row were whole
    wide = x.double()
    expected = wide / (wide.square().mean(-1, keepdim=True) + EPSILON).sqrt()
    assert_rounded(out, expected[:, :64])


def test_a_result_can_be_float32(kernels: Kernels) -> None:
    # given
    x, out = values(2, 64), torch.zeros(2, 64)
    # when
    norm(kernels, x, out)
    # then
    wide = x.double()
    expected = wide / (wide.square().mean(-1, keepdim=True) + EPSILON).sqrt()
    torch.testing.assert_close(out.double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", HALVES)
def test_heads_of_queries_and_keys_are_normalized_in_place(kernels: Kernels, dtype) -> None:
    # given rows of 4 query heads, 2 key heads and 2 value heads of 32
    qkv = values(5, 256, dtype=dtype)
    q_weight, k_weight = values(32, dtype=dtype, seed=1), values(32, dtype=dtype, seed=2)
    before = qkv.clone()
    # when
    kernels.run(
        f"qk_rms_norm_{name(dtype)}",
        *(qkv, q_weight, None, qkv, k_weight, None, qkv, u32(5), u32(32), u32(4), u32(32), u32(2)),
        *(u32(256), u32(256), f32(EPSILON), u32(128), True, None, None, u32(1)),
    )
    # then
    heads = before.double().view(5, 8, 32)
    scaled = heads / (heads.square().mean(-1, keepdim=True) + EPSILON).sqrt()
    assert_rounded(qkv.view(5, 8, 32)[:, :4], scaled[:, :4] * q_weight.double())
    assert_rounded(qkv.view(5, 8, 32)[:, 4:6], scaled[:, 4:6] * k_weight.double())
    torch.testing.assert_close(qkv[:, 192:], before[:, 192:], rtol=0, atol=0)


def test_a_device_normalizes_multiples_of_16_only(kernels: Kernels, acl: Acl) -> None:
    # given
    x = values(2, 24)
    arguments = (x, None, None, None, x.clone(), u32(2), u32(24), f32(EPSILON), u32(RMS))
    places = (u32(1), u32(24), u32(24), u32(0), u32(0), True, None, u32(1), False)
    # when
    code = kernels.attempt("norm_bfloat16_t", *arguments, *places)
    # then
    assert code == 161002
    assert "norm_dim must be a multiple of 16" in acl.message()
    assert kernels.wait() == 0
