# SPDX-License-Identifier: Apache-2.0
"""rope_and_cache."""

from dataclasses import dataclass, field

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, f32, u32, u64
from rounding import HALVES, assert_rounded, values

NAMES = {torch.bfloat16: "bfloat16_t", torch.float16: "float16_t"}
HEADS, KV_HEADS, BLOCK = 4, 2, 16
SCALE = 0.125


@dataclass
class Call:
    """A batch of rows [queries, keys, values] and an empty cache of 4 blocks."""

    slots: list[int]
    size: int = 64
    rotary: int = 64
    dtype: torch.dtype = torch.bfloat16
    table_dtype: torch.dtype = torch.float32
    positions: torch.Tensor = field(default_factory=lambda: torch.tensor([3, 40, 0]))
    masks: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.width = (HEADS + 2 * KV_HEADS) * self.size
        self.qkv = values(len(self.slots), self.width, dtype=self.dtype)
        # Keys and values of a block lie side by side, as in a cache [blocks, 2, ...].
        self.cache = torch.zeros(4, 2, BLOCK, KV_HEADS, self.size, dtype=self.dtype)
        angles = torch.outer(torch.arange(64.0), 100.0 ** (-torch.arange(self.rotary // 2) / 32))
        self.table = torch.cat([angles.cos(), angles.sin()], -1).to(self.table_dtype)

    def attempt(self, kernels: Kernels) -> int:
        row, cache = kernels.upload(self.qkv), kernels.upload(self.cache)
        bytes_of = self.dtype.itemsize
        half = BLOCK * KV_HEADS * self.size
        slots = torch.tensor(self.slots, dtype=torch.int32)
        code = kernels.attempt(
            f"rope_and_cache_{NAMES[self.dtype]}",
            *(self.positions, row, row + HEADS * self.size * bytes_of),
            *(row + (HEADS + KV_HEADS) * self.size * bytes_of, self.table),
            *(cache, cache + half * bytes_of, slots, u32(2 * half), u32(2 * half)),
            *(u32(len(self.slots)), u32(self.rotary), *[u32(self.width)] * 3),
            *(u32(HEADS), u32(KV_HEADS), u32(self.size), u32(BLOCK), f32(SCALE)),
            *(u64(self.masks[0]), u64(self.masks[1]), self.table_dtype == torch.float32),
        )
        if code == 0:
            kernels.download(row, self.qkv)
            kernels.download(cache, self.cache)
        return code

    def heads(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values, [tokens, heads, size]."""
        rows = self.qkv.view(len(self.slots), -1, self.size)
        return rows[:, :HEADS], rows[:, HEADS : HEADS + KV_HEADS], rows[:, HEADS + KV_HEADS :]


def turned(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turn heads [tokens, heads, size] by rows [cosines, sines] in float64."""
    half = angles.size(-1) // 2
    cosine, sine = (part.double().unsqueeze(1) for part in angles.split(half, -1))
    left, right, rest = x.double().split([half, half, x.size(-1) - 2 * half], -1)
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine, rest], -1)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(("size", "rotary"), [(64, 64), (128, 128), (128, 64)])
def test_queries_are_turned_and_scaled_keys_turned(
    kernels: Kernels, dtype, size: int, rotary: int
) -> None:
    # given
    call = Call([17, 2, 63], size, rotary, dtype)
    queries, keys, numbers = (part.clone() for part in call.heads())
    # when
    assert call.attempt(kernels) == 0
    # then
    angles = call.table[call.positions]
    assert_rounded(call.heads()[0], turned(queries, angles) * SCALE)
    assert_rounded(call.heads()[1], turned(keys, angles))
    torch.testing.assert_close(call.heads()[2], numbers, rtol=0, atol=0)


def test_keys_and_values_go_to_their_slots_and_nowhere_else(kernels: Kernels) -> None:
    # given
    call = Call([17, 2, 63])
    # when
    assert call.attempt(kernels) == 0
    # then
    expected = torch.zeros_like(call.cache)
    for token, slot in enumerate(call.slots):
        for which, part in enumerate(call.heads()[1:]):
            expected[slot // BLOCK, which, slot % BLOCK] = part[token]
    torch.testing.assert_close(call.cache, expected, rtol=0, atol=0)


def test_a_table_in_the_models_dtype_rounds_every_step(kernels: Kernels) -> None:
    # given
    call = Call([0, 1, 2], table_dtype=torch.bfloat16)
    queries = call.heads()[0].clone()
    # when
    assert call.attempt(kernels) == 0
    # then: torch's own operators round as many times
    cosine, sine = (part.unsqueeze(1) for part in call.table[call.positions].chunk(2, -1))
    left, right = queries.chunk(2, -1)
    expected = torch.cat([left * cosine - right * sine, right * cosine + left * sine], -1) * SCALE
    torch.testing.assert_close(call.heads()[0], expected, rtol=0, atol=0)


def test_lanes_take_one_of_three_positions_by_masks(kernels: Kernels) -> None:
    # given: pairs 1, 4, 7 ... by height, 2, 5, 8 ... by width, the others by time
    height, width = (sum(1 << i for i in range(first, 32, 3)) for first in (1, 2))
    positions = torch.tensor([[3, 40, 0], [5, 41, 9], [7, 42, 63]])
    call = Call([0, 1, 2], positions=positions, masks=(height, width))
    queries = call.heads()[0].clone()
    # when
    assert call.attempt(kernels) == 0
    # then
    pairs = torch.arange(64) % 32
    angles = torch.stack([call.table[row] for row in positions])  # [3, tokens, 64]
    mixed = torch.where(
        pairs % 3 == 0, angles[0], torch.where(pairs % 3 == 1, angles[1], angles[2])
    )
    assert_rounded(call.heads()[0], turned(queries, mixed) * SCALE)


@pytest.mark.parametrize(
    ("slot", "text"),
    [(-1, "slotMapping[1] is -1"), (1 << 30, "a slot of keyCache is outside device memory")],
)
def test_a_slot_outside_the_cache_is_an_error(
    kernels: Kernels, acl: Acl, slot: int, text: str
) -> None:
    # given
    call = Call([0, slot, 2])
    # when
    code = call.attempt(kernels)
    # then
    assert code == 507015
    assert text in acl.message()


def test_a_position_below_zero_is_an_error(kernels: Kernels, acl: Acl) -> None:
    # given
    call = Call([0, 1, 2], positions=torch.tensor([0, -5, 1]))
    # when
    code = call.attempt(kernels)
    # then
    assert code == 507015
    assert "position -5" in acl.message()


def test_a_device_turns_64_or_128_lanes(kernels: Kernels, acl: Acl) -> None:
    # when
    code = Call([0, 1, 2], 64, 32).attempt(kernels)
    # then
    assert code == 161002
    assert "rotDim must be 64 or 128" in acl.message()


@pytest.mark.device_limits("off")
def test_without_limits_any_number_of_lanes_is_turned(kernels: Kernels) -> None:
    # given
    call = Call([0, 1, 2], 64, 32)
    queries = call.heads()[0].clone()
    # when
    assert call.attempt(kernels) == 0
    # then
    assert_rounded(call.heads()[0], turned(queries, call.table[call.positions]) * SCALE)
