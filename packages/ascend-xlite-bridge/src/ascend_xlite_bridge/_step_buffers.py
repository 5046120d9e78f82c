# SPDX-License-Identifier: Apache-2.0
"""Steps made of what a serving engine has anyway, without a copy from the device."""

from collections.abc import Sequence

import torch

from ascend_xlite_bridge._decoder.limits import XliteRun
from ascend_xlite_bridge._step import DeviceStep

__all__ = ["StepBuffers"]

_FLASH_TOKENS = 8192
"""A table for more tokens than these makes the engine take its attention of long texts."""
_ALIGNMENT = 8
"""Numbers of int32 in 32 bytes, at multiples of which a device copies fastest."""


class StepBuffers:
    """Memory on the device in which steps are made; each step overwrites the one before.

    The work of a step that was launched on the same stream is not disturbed: the next one is made
    after it, in the order of the stream.

    Parameters
    ----------
    run
        Most tokens and requests.
    device
        Where the engine runs.
    """

    def __init__(self, run: XliteRun, device: torch.device) -> None:
        def integers(*size: int) -> torch.Tensor:
            return torch.zeros(size, dtype=torch.int32, device=device)

        self._run = run
        self._lens = integers(run.max_requests)
        self._ones = torch.ones_like(self._lens)
        self._cached = integers(run.max_requests)
        self._slots = integers(run.max_tokens)
        self._decode = integers(2 * run.max_requests + _ALIGNMENT)
        self._gap = torch.zeros(_ALIGNMENT, dtype=torch.int64, device=device)
        widest = min(run.max_seq_len, _FLASH_TOKENS) // run.block_size + 1
        self._table = integers(run.max_requests * widest)

    def device_step(
        self,
        *,
        query_start_loc: torch.Tensor,
        seq_lens: torch.Tensor,
        positions: torch.Tensor,
        slot_mapping: torch.Tensor,
        block_table: torch.Tensor,
        lens_cpu: list[int],
        seq_lens_cpu: Sequence[int],
    ) -> DeviceStep:
        """Make a step; what is longer than its requests and tokens is cut.

        Parameters
        ----------
        query_start_loc
            On the device, int32, at least (requests + 1) entries.
        seq_lens
            On the device, int32: cached and new tokens of each request.
        positions
            On the device, int64.
        slot_mapping
            On the device, int32 or int64.
        block_table
            On the device, int32, at least (requests, blocks).
        lens_cpu, seq_lens_cpu
            New tokens, and cached and new tokens, of each request.
        """
        requests, tokens = len(lens_cpu), sum(lens_cpu)
        starts = _first(query_start_loc, requests + 1)
        positions, slots = _first(positions, tokens), _first(slot_mapping, tokens)
        if tokens == requests:
            lens = _first(self._ones, requests)
            cached, slots = self._decode_integers(positions, slots)
        else:
            lens = torch.sub(starts[1:], starts[:-1], out=_first(self._lens, requests))
            cached = torch.sub(_first(seq_lens, requests), lens, out=_first(self._cached, requests))
            if slots.dtype != torch.int32:
                slots = _first(self._slots, tokens).copy_(slots)
        return DeviceStep(
            lens=lens,
            cached_lens=cached,
            query_start_loc=starts,
            positions=positions,
            slot_mapping=slots,
            block_table=self._narrowed(_first(block_table, requests), max(seq_lens_cpu)),
            lens_cpu=lens_cpu,
            cached_lens_cpu=[all_ - new for all_, new in zip(seq_lens_cpu, lens_cpu, strict=True)],
        )

    def _decode_integers(
        self, positions: torch.Tensor, slots: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cached lengths, which positions of single tokens are, and slots, both int32.

        By one operator, as each costs host time.
        """
        tokens = len(positions)
        gap = -tokens % _ALIGNMENT
        parts = (positions, self._gap[:gap], slots) if gap else (positions, slots)
        both = torch.cat(parts, out=self._decode[: 2 * tokens + gap])
        return both[:tokens], both[tokens + gap :]

    def _narrowed(self, table: torch.Tensor, longest: int) -> torch.Tensor:
        """Return the columns that are used, if that spares the attention of long texts."""
        requests, width = table.shape
        needed = -(-longest // self._run.block_size)
        size = self._run.block_size
        if width * size <= _FLASH_TOKENS or needed * size > _FLASH_TOKENS:
            return table
        narrow = self._table[: requests * needed].view(requests, needed)
        return narrow.copy_(table[:, :needed])


def _first(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    """Return the first rows; no view is made if those are all, as in most steps."""
    return tensor if len(tensor) == rows else tensor[:rows]
