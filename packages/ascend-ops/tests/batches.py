# SPDX-License-Identifier: Apache-2.0
"""Batches of paged requests, and the slots that they must get, computed with numpy alone."""

from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
import torch

INTEGERS = (torch.int32, torch.int64)


@dataclass(frozen=True)
class Batch:
    """Requests as (tokens already cached, new tokens), and the blocks of each."""

    requests: tuple[tuple[int, int], ...]
    block_table: np.ndarray
    block_size: int
    padding: int
    dtypes: tuple[torch.dtype, torch.dtype, torch.dtype, torch.dtype] = (
        torch.int64,
        torch.int32,
        torch.int32,
        torch.int64,
    )

    @property
    def num_tokens(self) -> int:
        return sum(new for _, new in self.requests)

    def cells(self, block: int) -> np.ndarray:
        return np.arange(block * self.block_size, (block + 1) * self.block_size)

    def arguments(self, device: torch.device | str):
        """Positional arguments of slot_mapping; `out` holds a value that no slot has."""
        positions = [cached + i for cached, new in self.requests for i in range(new)]
        starts = np.cumsum([0, *(new for _, new in self.requests)])
        values = (positions, starts, self.block_table)
        tensors = [
            torch.as_tensor(np.array(value, dtype=np.int64), device=device).to(dtype)
            for value, dtype in zip(values, self.dtypes, strict=False)
        ]
        out = torch.full((self.num_tokens + self.padding,), -77, dtype=self.dtypes[3])
        return (*tensors, self.block_size, out.to(device))

    def expected(self, pad_id: int = -1) -> list[int]:
        """Number the tokens of each request through its blocks, then pad."""
        slots: list[int] = []
        for (cached, new), blocks in zip(self.requests, self.block_table, strict=False):
            cells = np.concatenate([self.cells(block) for block in blocks])
            slots += cells[cached : cached + new].tolist()
        return slots + [pad_id] * self.padding


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Ragged batches: empty requests, spare rows, any block size, padding or none."""
    block_size = draw(st.sampled_from([1, 3, 16, 128]))
    blocks = draw(st.integers(1, 5))
    capacity = blocks * block_size
    cached = st.integers(0, capacity)
    requests = draw(
        st.lists(
            cached.flatmap(lambda c: st.tuples(st.just(c), st.integers(0, min(capacity - c, 40)))),
            min_size=1,
            max_size=6,
        )
    )
    rows = len(requests) + draw(st.integers(0, 2))
    seed = draw(st.integers(0, 2**32 - 1))
    table = np.random.default_rng(seed).permutation(rows * blocks).reshape(rows, blocks)
    dtypes = draw(st.tuples(*[st.sampled_from(INTEGERS)] * 4))
    return Batch(tuple(requests), table, block_size, draw(st.integers(0, 9)), dtypes)


def decode_batch() -> Batch:
    """Three requests of one new token each, one empty request, five rows of padding."""
    table = np.array([[4, 9], [7, 2], [0, 0], [5, 1]])
    return Batch(((0, 1), (130, 1), (0, 0), (127, 1)), table, block_size=128, padding=5)
