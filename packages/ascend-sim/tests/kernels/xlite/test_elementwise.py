# SPDX-License-Identifier: Apache-2.0
"""add, add_bias, casts, silu_and_mul and embed_kernel."""

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, f32, u32
from rounding import HALVES, assert_rounded, values

NAMES = {torch.bfloat16: "bfloat16_t", torch.float16: "float16_t", torch.float32: "float"}


@pytest.mark.parametrize("dtype", HALVES)
def test_add(kernels: Kernels, dtype) -> None:
    # given
    x, y, z = (values(5, 19, dtype=dtype, seed=i) for i in range(3))
    # when
    kernels.run(f"add_{NAMES[dtype]}", x, y, z, u32(5), u32(19))
    # then
    torch.testing.assert_close(z, x + y, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", NAMES)
def test_a_bias_is_added_to_each_row(kernels: Kernels, dtype) -> None:
    # given
    x, bias, z = values(4, 16, dtype=dtype), values(16, dtype=dtype, seed=1), torch.zeros(4, 16)
    z = z.to(dtype)
    # when
    kernels.run(f"add_bias_{NAMES[dtype]}", x, bias, z, u32(64), u32(16))
    # then
    torch.testing.assert_close(z, x + bias, rtol=0, atol=0)


def test_casts_round_to_nearest_and_keep_what_is_not_a_number(kernels: Kernels) -> None:
    # given halves of the last place, both infinities, a NaN whose bits would overflow, zeros
    special = torch.tensor(
        [0x3F808000, 0x3F818000, 0x7F800000, -0x800000, 0x7FFFFFFF, 0, 0x7F7FFFFF, 1]
    )
    x = torch.cat([special.to(torch.int32).view(torch.float32), values(21, dtype=torch.float32)])
    narrow, wide = torch.zeros(29, dtype=torch.bfloat16), torch.zeros(29)
    # when
    kernels.run("cast_float_bfloat16_t", x, narrow, u32(29))
    kernels.run("cast_bfloat16_t_float", narrow, wide, u32(29))
    # then
    torch.testing.assert_close(narrow, x.bfloat16(), rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(wide, x.bfloat16().float(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", NAMES)
def test_silu_of_the_left_half_times_the_right(kernels: Kernels, dtype) -> None:
    # given numbers whose exponential would overflow, too
    x = values(6, 96, dtype=dtype) * 8
    x[0, :2] = torch.tensor([200.0, -200.0])
    y = torch.zeros(6, 48, dtype=dtype)
    # when
    kernels.run(f"silu_and_mul_{NAMES[dtype]}", x, y, None, u32(6), u32(48), f32(0))
    # then
    gate, up = x.double().chunk(2, -1)
    assert_rounded(y, torch.nn.functional.silu(gate) * up)


def test_silu_has_a_limit_and_a_number_of_rows(kernels: Kernels) -> None:
    # given
    x, y = values(6, 32) * 4, torch.full((6, 16), -7.0, dtype=torch.bfloat16)
    rows = torch.tensor([4], dtype=torch.int32)
    # when
    kernels.run("silu_and_mul_bfloat16_t", x, y, rows, u32(6), u32(16), f32(2.0))
    # then
    gate, up = x.double().chunk(2, -1)
    expected = torch.nn.functional.silu(gate.clamp(max=2)) * up.clamp(-2, 2)
    assert_rounded(y[:4], expected[:4])
    assert (y[4:] == -7).all()


@pytest.mark.parametrize("dtype", HALVES)
def test_a_rank_embeds_its_own_tokens_and_leaves_zeros_for_others(kernels: Kernels, dtype) -> None:
    # given rows 10 to 29 of a table
    table, ids = values(20, 32, dtype=dtype), torch.tensor([10, 3, 29, 30, 17], dtype=torch.int32)
    out = torch.full((5, 32), 7.0, dtype=dtype)
    # when
    kernels.run(
        f"embed_kernel_{NAMES[dtype]}", table, ids, out, u32(32), u32(5), u32(10), u32(30), u32(2)
    )
    # then
    zeros = torch.zeros(32, dtype=dtype)
    expected = torch.stack([table[0], zeros, table[19], zeros, table[7]])
    torch.testing.assert_close(out, expected, rtol=0, atol=0)


def test_an_id_beyond_the_table_is_an_error(kernels: Kernels, acl: Acl) -> None:
    # given a table of 4 rows, said to have a million
    table, ids = values(4, 32), torch.tensor([999_999], dtype=torch.int32)
    # when
    code = kernels.attempt(
        "embed_kernel_bfloat16_t",
        *(table, ids, values(1, 32), u32(32), u32(1), u32(0), u32(1_000_000), u32(1)),
    )
    # then
    assert code == 507015
    assert "the row of an id is outside device memory" in acl.message()


@pytest.mark.parametrize("name", ["silu_and_mul_bfloat16_t", "embed_kernel_bfloat16_t"])
def test_a_device_takes_rows_of_multiples_of_16(kernels: Kernels, acl: Acl, name: str) -> None:
    # given
    x = values(2, 16)
    tail = (None, u32(1), u32(8), f32(0)) if name.startswith("silu") else (x, u32(8), u32(1))
    tail += () if name.startswith("silu") else (u32(0), u32(1), u32(1))
    # when
    code = kernels.attempt(name, x, x, *tail)
    # then
    assert code == 161002
    assert "dim must be a multiple of 16" in acl.message()
