# SPDX-License-Identifier: Apache-2.0
"""W8A8: quant_static, quant_dynamic, the products of int8, and dequant."""

import numpy as np
import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, i64, u32, u64
from rounding import values
from weights import TILES, stored


def integers(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return int8 of the whole range."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-128, 128, shape, generator=generator, dtype=torch.int8)


def slots(scales: torch.Tensor, *, noise: int = 0) -> torch.Tensor:
    """Put float32 scales into the lower halves of 64 bits, as the device keeps them."""
    bits = scales.view(torch.int32) & ~0x1FFF | noise
    return torch.stack([bits, torch.zeros_like(bits)], -1).view(torch.int64).flatten()


def scales_of(n: int) -> torch.Tensor:
    """Return positive scales of ten bits behind the point."""
    return (1 + torch.arange(n) % 1024 / 1024) * 2.0**-10


def exact_halves(x: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor, bias=0):
    """Multiply int8 exactly, scale in float64 and round once to fp16."""
    sums = x.long() @ weight.long().t() + bias
    return (sums.double() * scales.double()).numpy().astype(np.float16)


def away_from_zero(x: np.ndarray) -> np.ndarray:
    """Round float64 to fp16 and then to int8, halves away from zero, by looking at neighbours."""
    near = x.astype(np.float16)
    around = [np.nextafter(near, np.float16(s)) for s in (-np.inf, np.inf)]
    best = near
    for other in around:
        gain = np.abs(x - other.astype(np.float64)) - np.abs(x - best.astype(np.float64))
        best = np.where((gain < 0) | (gain == 0) & (np.abs(other) > np.abs(best)), other, best)
    whole = np.sign(best) * np.floor(np.abs(best.astype(np.float64)) + 0.5)
    return np.clip(whole, -128, 127).astype(np.int8)


def test_quant_static_scales_shifts_and_rounds_halves_away_from_zero(kernels: Kernels) -> None:
    # given numbers among which are halves, and numbers that fp16 makes halves of
    x = torch.cat([torch.arange(-140, 140.5, 0.5), torch.tensor([2.498, -63.47])]).bfloat16()
    x = torch.cat([x, torch.zeros(-len(x) % 16, dtype=torch.bfloat16)]).expand(3, -1).contiguous()
    reciprocal = torch.tensor([1.0, 0.5, 3.0]).bfloat16().repeat(x.size(1))[: x.size(1)]
    offset = torch.tensor([0.0, 7.0, -3.0, 0.5]).bfloat16().repeat(x.size(1))[: x.size(1)]
    out = torch.zeros(x.shape, dtype=torch.int8)
    # when
    kernels.run(
        "quant_static_bfloat16_t", x, reciprocal, offset, out, u32(x.size(0)), u32(x.size(1))
    )
    # then
    exact = x.double() * reciprocal.double() + offset.double()
    np.testing.assert_array_equal(out.numpy(), away_from_zero(exact.numpy()))


@pytest.mark.parametrize("used", [None, 3])
def test_quant_dynamic_finds_the_scale_of_each_row(kernels: Kernels, used: int | None) -> None:
    # given a row of zeros among others
    x = values(5, 64)
    x[1] = 0
    scales, out = torch.full((5,), -1.0), torch.full((5, 64), 99, dtype=torch.int8)
    count = None if used is None else torch.tensor([used], dtype=torch.int32)
    # when
    kernels.run("quant_dynamic_bfloat16_t", x, scales, out, count, u32(5), u32(64))
    # then
    greatest = x.float().abs().amax(-1)
    rows = used or 5
    torch.testing.assert_close(scales[:rows], (greatest / 127)[:rows], rtol=0, atol=0)
    products = x.float() * (np.float32(127) / greatest)[:, None]
    expected = products.nan_to_num(0).half().round().to(torch.int8)
    torch.testing.assert_close(out[:rows], expected[:rows], rtol=0, atol=0)
    assert expected.abs().amax(-1).tolist() == [127, 0, 127, 127, 127]
    assert (scales[rows:] == -1).all()
    assert (out[rows:] == 99).all()


@pytest.mark.parametrize("has_scale", [False, True])
def test_dequant_scales_rows_of_fp16_in_place(kernels: Kernels, *, has_scale: bool) -> None:
    # given 4 rows in use of 6
    halves = values(6, 32, dtype=torch.float16) * 100
    scales = values(6, dtype=torch.float32, seed=1) if has_scale else None
    memory, count = halves.clone(), torch.tensor([4], dtype=torch.int32)
    # when
    kernels.run("dequant_float16_t", memory, scales, memory, count, u32(6), u32(32))
    # then
    factor = 1 if scales is None else scales[:4, None]
    expected = (halves[:4].float() * factor).bfloat16()
    torch.testing.assert_close(memory[:4].view(torch.bfloat16), expected, rtol=0, atol=0)
    torch.testing.assert_close(memory[4:], halves[4:], rtol=0, atol=0)


@pytest.mark.parametrize("nz", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 64, 64), (7, 37, 32), (3, 50, 5120)])
def test_a_product_of_int8_is_exact_until_it_is_scaled(
    kernels: Kernels, m: int, n: int, k: int, *, has_bias: bool, transposed: bool, nz: bool
) -> None:
    # given
    x, weight = integers(m, k), integers(n, k, seed=1)
    bias = torch.arange(n, dtype=torch.int32) * 100001 if has_bias else None
    scales = scales_of(n) / k**0.5
    out = torch.zeros(m, n, dtype=torch.float16)
    # when
    kernels.run(
        "matmul_int8_t",
        *(x, stored(weight, transposed=transposed, nz=nz), out),
        *(u64(m), u64(n), u64(k), u64(nz), u64(transposed)),
        *(*TILES, u64(0), bias, slots(scales)),
    )
    # then
    kept = slots(scales).view(torch.float32)[::2]
    expected = exact_halves(x, weight, kept, 0 if bias is None else bias)
    np.testing.assert_array_max_ulp(out.numpy(), expected, 1)
    assert (out.numpy() == expected).mean() > 0.99  # float32 is rounded on the way


def test_sums_of_int8_are_exact_where_float32_is_not(kernels: Kernels) -> None:
    # given a sum of 5120 products of 2^14, to which 1 is added
    x = torch.full((1, 5120), -128, dtype=torch.int8)
    weight = torch.full((16, 5120), -128, dtype=torch.int8)
    bias = torch.full((16,), 1 - 5120 * 2**14, dtype=torch.int32)
    out = torch.zeros(1, 16, dtype=torch.float16)
    # when
    kernels.run(
        "matmul_int8_t",
        *(x, weight, out, u64(1), u64(16), u64(5120), u64(0), u64(0), *TILES, u64(0)),
        *(bias, slots(torch.ones(16))),
    )
    # then
    assert out.tolist() == [[1.0] * 16]


def test_the_last_13_bits_of_a_scale_are_not_looked_at(kernels: Kernels) -> None:
    # given
    x, weight, scales = integers(2, 32), integers(16, 32, seed=1), scales_of(16)
    results = []
    for noise in (0, 0x1FFF):
        out = torch.zeros(2, 16, dtype=torch.float16)
        # when
        kernels.run(
            "matmul_int8_t",
            *(x, weight, out, u64(2), u64(16), u64(32), u64(0), u64(0), *TILES, u64(0)),
            *(None, slots(scales, noise=noise)),
        )
        results.append(out)
    # then
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_a_product_of_int8_needs_a_scale(kernels: Kernels, acl: Acl) -> None:
    # when
    code = kernels.attempt(
        "matmul_int8_t",
        *(integers(1, 32), integers(16, 32), torch.zeros(1, 16, dtype=torch.float16)),
        *(u64(1), u64(16), u64(32), u64(0), u64(0), *TILES, u64(0), None, None),
    )
    # then
    assert code == 161002
    assert "need deqScale" in acl.message()


def test_a_device_reads_a_transposed_weight_in_whole_blocks(kernels: Kernels, acl: Acl) -> None:
    # given a depth of which FRACTAL_NZ pads 16 rows, where the kernel counts 32
    weight = stored(integers(32, 48), transposed=True, nz=True)
    # when
    code = kernels.attempt(
        "matmul_int8_t",
        *(integers(1, 48), weight, torch.zeros(1, 32, dtype=torch.float16)),
        *(u64(1), u64(32), u64(48), u64(1), u64(1), *TILES, u64(0), None, slots(torch.ones(32))),
    )
    # then
    assert code == 161002
    assert "must be a multiple of 32" in acl.message()


@pytest.mark.parametrize("used", [None, 2])
def test_the_fused_product_is_the_product_and_dequant(kernels: Kernels, used: int | None) -> None:
    # given
    x, weight, scales = integers(5, 96), integers(48, 96, seed=1), scales_of(48)
    row_scales = values(5, dtype=torch.float32, seed=2)
    count = None if used is None else torch.tensor([used], dtype=torch.int32)
    out = torch.zeros(5, 48, dtype=torch.bfloat16)
    # when
    kernels.run(
        "fusion_operator_matmul_dequant_pipeline_int8_t",
        *(x, weight, out, None, slots(scales), row_scales, count),
        *(u64(5), u64(48), u64(96), u64(0), u64(0), *TILES),
    )
    # then
    halves = torch.from_numpy(exact_halves(x, weight, scales))
    expected = (halves.float() * row_scales[:, None]).bfloat16()
    rows = used or 5
    torch.testing.assert_close(out[:rows], expected[:rows], rtol=2**-8, atol=0)
    torch.testing.assert_close(out[rows:].view(torch.float16), halves[rows:], rtol=2**-10, atol=0)


def test_each_expert_scales_its_own_outputs(kernels: Kernels) -> None:
    # given 4 experts of which this rank has 1 to 3, with 3 and 2 rows
    counts = torch.tensor([0, 3, 2, 0], dtype=torch.int32)
    weights, x = integers(4, 40, 64), integers(5, 64, seed=1)
    scales = torch.stack([scales_of(40) * (e + 1) for e in range(4)])
    addresses = torch.tensor([kernels.upload(w.contiguous()) for w in weights])
    scale_addresses = torch.tensor([kernels.upload(slots(s.contiguous())) for s in scales])
    out = torch.zeros(5, 40, dtype=torch.float16)
    # when
    kernels.run(
        "group_matmul_int8_t",
        *(x, addresses, out, scale_addresses, counts, u32(4), i64(40), i64(64), *TILES),
        *(u32(1), u32(3), False, False, u64(0)),
    )
    # then
    kept = [slots(s.contiguous()).view(torch.float32)[::2] for s in scales]
    expected = np.concatenate(
        [exact_halves(x[:3], weights[1], kept[1]), exact_halves(x[3:], weights[2], kept[2])]
    )
    np.testing.assert_array_max_ulp(out.numpy(), expected, 1)


def test_an_expert_without_scales_is_an_error(kernels: Kernels, acl: Acl) -> None:
    # given
    counts = torch.tensor([1], dtype=torch.int32)
    addresses = torch.tensor([kernels.upload(integers(16, 32))])
    # when
    code = kernels.attempt(
        "group_matmul_int8_t",
        *(integers(1, 32), addresses, torch.zeros(1, 16, dtype=torch.float16), torch.tensor([0])),
        *(counts, u32(1), i64(16), i64(32), *TILES, u32(0), u32(1), False, False, u64(0)),
    )
    # then
    assert code == 507015
    assert "the scales of an expert is outside device memory" in acl.message()
