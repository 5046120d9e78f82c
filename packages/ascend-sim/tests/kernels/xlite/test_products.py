# SPDX-License-Identifier: Apache-2.0
"""matmul and group_matmul."""

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, i64, u32, u64
from rounding import assert_rounded, values
from weights import TILES, stored

NAMES = {torch.bfloat16: "bfloat16_t", torch.float16: "float16_t", torch.float32: "float"}


def multiply(
    kernels: Kernels,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    transposed: bool = False,
    nz: bool = False,
) -> torch.Tensor:
    out = torch.zeros(x.size(0), weight.size(0), dtype=x.dtype)
    kernels.run(
        f"matmul_{NAMES[x.dtype]}",
        *(x, stored(weight, transposed=transposed, nz=nz), out),
        *(u64(x.size(0)), u64(weight.size(0)), u64(x.size(1)), u64(nz), u64(transposed)),
        *(*TILES, u64(0), bias, None),
    )
    return out


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("nz", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 64, 48), (7, 37, 19), (70, 130, 1100)])
def test_a_product_is_summed_in_float32_and_rounded_once(
    kernels: Kernels, dtype, m: int, n: int, k: int, *, transposed: bool, nz: bool
) -> None:
    # given
    x, weight = values(m, k, dtype=dtype), values(n, k, dtype=dtype, seed=1) / k**0.5
    # when
    out = multiply(kernels, x, weight, transposed=transposed, nz=nz)
    # then
    exact = x.double() @ weight.double().t()
    if dtype == torch.float32:
        torch.testing.assert_close(out.double(), exact, rtol=1e-5, atol=1e-5)
    else:
        assert_rounded(out, exact)


@pytest.mark.parametrize("bias_dtype", [torch.float32, torch.float16])
def test_a_bias_is_added_before_rounding(kernels: Kernels, bias_dtype) -> None:
    # given: bf16 has its bias in float32, fp16 in fp16
    dtype = torch.bfloat16 if bias_dtype == torch.float32 else torch.float16
    x, weight = values(3, 32, dtype=dtype), values(20, 32, dtype=dtype, seed=1)
    bias = values(20, dtype=bias_dtype, seed=2) * 16
    # when
    out = multiply(kernels, x, weight, bias)
    # then
    assert_rounded(out, x.double() @ weight.double().t() + bias.double())


def test_a_row_has_the_same_bits_in_every_batch(kernels: Kernels) -> None:
    # given
    x, weight = values(33, 200), values(50, 200, seed=1)
    # when
    whole = multiply(kernels, x, weight)
    alone = [multiply(kernels, row.unsqueeze(0).contiguous(), weight) for row in x]
    # then
    torch.testing.assert_close(torch.cat(alone), whole, rtol=0, atol=0)


def test_a_scale_without_int8_is_refused(kernels: Kernels, acl: Acl) -> None:
    # given
    x, scale = values(1, 16), torch.ones(16)
    # when
    code = kernels.attempt(
        "matmul_bfloat16_t",
        *(x, values(16, 16), x.clone(), u64(1), u64(16), u64(16), u64(0), u64(0)),
        *(*TILES, u64(0), None, scale),
    )
    # then
    assert code == 161002
    assert "deqScale" in acl.message()


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("nz", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_each_expert_multiplies_its_rows(
    kernels: Kernels, dtype, *, transposed: bool, nz: bool
) -> None:
    # given 6 experts of which this rank has 2 to 4, with 3, 0 and 5 rows
    counts = torch.tensor([0, 0, 3, 0, 5, 0], dtype=torch.int32)
    weights = values(6, 40, 32, dtype=dtype)
    x = values(8, 32, dtype=dtype, seed=1)
    addresses = torch.tensor(
        [kernels.upload(stored(w.contiguous(), transposed=transposed, nz=nz)) for w in weights]
    )
    out = torch.zeros(8, 40, dtype=dtype)
    # when
    kernels.run(
        f"group_matmul_{NAMES[dtype]}",
        *(x, addresses, out, None, counts, u32(6), i64(40), i64(32), *TILES),
        *(u32(2), u32(5), nz, transposed, u64(0)),
    )
    # then
    exact = torch.cat(
        [x[:3].double() @ weights[2].double().t(), x[3:].double() @ weights[4].double().t()]
    )
    assert_rounded(out, exact)


def test_the_address_of_a_weight_must_be_memory_of_the_device(kernels: Kernels, acl: Acl) -> None:
    # given an expert without a weight
    counts, addresses = torch.tensor([1], dtype=torch.int32), torch.tensor([64])
    # when
    code = kernels.attempt(
        "group_matmul_bfloat16_t",
        *(values(1, 16), addresses, values(1, 16), None, counts, u32(1), i64(16), i64(16), *TILES),
        *(u32(0), u32(1), False, False, u64(0)),
    )
    # then
    assert code == 507015
    assert "the weight of an expert is outside device memory" in acl.message()
