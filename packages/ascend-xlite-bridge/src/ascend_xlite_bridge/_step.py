# SPDX-License-Identifier: Apache-2.0
"""What a step computes: which tokens of which requests, and where their keys and values are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ascend_xlite_bridge._decoder.decoder import XliteDecoder
from ascend_xlite_bridge._decoder.limits import XliteRun
from ascend_xlite_bridge.errors import XliteStepError

__all__ = ["DeviceStep", "HostStep", "check_step", "padded_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStep:
    """A step whose lengths and block tables are on the host.

    The engine copies them to the device and waits for its stream to do so. It is the only form for
    models whose positions have three coordinates.

    Parameters
    ----------
    lens
        New tokens of each request, 1 or more. Any mix of prefills and decodes, in any order.
    cached_lens
        Tokens of each request that are in the KV cache already.
    block_tables
        Blocks of each request, at least as many as it needs for both.
    positions
        On the device, int64: shape (tokens), or (3, tokens) of a model with `mrope_section`.
    """

    lens: Sequence[int]
    cached_lens: Sequence[int]
    block_tables: Sequence[Sequence[int]]
    positions: torch.Tensor

    @property
    def host_lens(self) -> tuple[Sequence[int], Sequence[int]]:
        """New and cached tokens of each request."""
        return self.lens, self.cached_lens

    def metadata(self, engine: Any) -> Any:
        """Make the engine's own object of it."""
        meta = engine.AttnMeta()
        meta.lens = self.lens
        meta.cached_lens = self.cached_lens
        meta.block_tables_cpu = self.block_tables
        meta.positions = self.positions
        return meta


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStep:
    """A step whose lengths and block tables are on the device: nothing is copied or waited for.

    Parameters
    ----------
    lens, cached_lens
        On the device, int32, shape (requests): new and cached tokens.
    query_start_loc
        On the device, int32, shape (requests) or (requests + 1): first token of each request.
    positions
        On the device, int64, shape (tokens).
    slot_mapping
        On the device, int32, shape (tokens): where keys and values are stored. Every slot must
        exist; the engine does not skip -1.
    block_table
        On the device, int32, shape (requests, blocks), contiguous. The engine chooses its attention
        by the width: from more than 8192 tokens on, the one for long texts.
    lens_cpu, cached_lens_cpu
        The same lengths on the host.
    """

    lens: torch.Tensor
    cached_lens: torch.Tensor
    query_start_loc: torch.Tensor
    positions: torch.Tensor
    slot_mapping: torch.Tensor
    block_table: torch.Tensor
    lens_cpu: list[int]
    cached_lens_cpu: list[int]

    @property
    def host_lens(self) -> tuple[Sequence[int], Sequence[int]]:
        """New and cached tokens of each request."""
        return self.lens_cpu, self.cached_lens_cpu

    def metadata(self, engine: Any) -> Any:
        """Make the engine's own object of it."""
        meta = engine.AttnMetaV2()
        meta.lens = self.lens
        meta.cached_lens = self.cached_lens
        meta.query_start_loc = self.query_start_loc
        meta.positions = self.positions
        meta.slot_mapping = [self.slot_mapping]
        meta.block_tables = [self.block_table]
        meta.lens_cpu = self.lens_cpu
        meta.cached_lens_cpu = self.cached_lens_cpu
        return meta


def padded_tokens(
    tokens: int, group_tokens: int | None, decoder: XliteDecoder, run: XliteRun
) -> int:
    """Return how many rows a step's output has, which the engine pads exchanged tokens to.

    Parameters
    ----------
    tokens
        New tokens of this rank.
    group_tokens
        The most of any data-parallel rank, if they share experts; else None.
    decoder, run
        What is run, and how.

    Raises
    ------
    XliteStepError
        If `group_tokens` is missing where it is needed, or given where it is not, or out of range.
    """
    is_shared = decoder.num_experts > 0 and run.ranks.dp_size > 1
    if is_shared != (group_tokens is not None):
        goal = "a number, which all ranks agree on" if is_shared else "None"
        reason = (
            "data-parallel ranks share experts" if is_shared else "no other rank shares experts"
        )
        raise XliteStepError("group_tokens", f"{group_tokens}, expected {goal}: {reason}")
    if group_tokens is None:
        return tokens
    if not tokens <= group_tokens <= run.max_tokens:
        raise XliteStepError(
            "group_tokens",
            f"{group_tokens}, expected {tokens} (the tokens of this rank) to {run.max_tokens}",
        )
    return group_tokens


def check_step(
    step: HostStep | DeviceStep, decoder: XliteDecoder, run: XliteRun, num_blocks: int
) -> int:
    """Check a step; the engine would read and write beyond its memory.

    What is on the device is not read back, which would wait for it: of a `DeviceStep`, slots and
    blocks are believed.

    Returns
    -------
    int
        New tokens.

    Raises
    ------
    XliteStepError
        If something does not fit.
    """
    lens, cached = step.host_lens
    requests, tokens = len(lens), sum(lens)
    if not 0 < requests <= run.max_requests:
        raise XliteStepError(
            "number of requests", f"{requests}, and there may be 1 to {run.max_requests}"
        )
    if len(cached) != requests:
        raise XliteStepError("cached_lens", f"it has {len(cached)} entries for {requests} requests")
    if min(lens) < 1 or min(cached) < 0:
        raise XliteStepError("lens", "each request has 1 new token or more, and 0 cached or more")
    if tokens > run.max_tokens:
        raise XliteStepError("number of tokens", f"{tokens}, and there may be {run.max_tokens}")
    longest = max(cached) + 1 if tokens == requests else max(map(int.__add__, lens, cached))
    if longest > run.max_seq_len:
        raise XliteStepError(
            "length of a request", f"{longest} tokens, and there may be {run.max_seq_len}"
        )
    shape = (3, tokens) if decoder.mrope_section else (tokens,)
    _expect("positions", step.positions, torch.int64, shape)
    if isinstance(step, HostStep):
        _check_host(step, run, num_blocks)
    else:
        _check_device(step, decoder, requests, tokens)
    return tokens


def _check_host(step: HostStep, run: XliteRun, num_blocks: int) -> None:
    if len(step.block_tables) != len(step.lens):
        raise XliteStepError(
            "block_tables", f"it has {len(step.block_tables)} rows for {len(step.lens)} requests"
        )
    for table, new, cached in zip(step.block_tables, step.lens, step.cached_lens, strict=True):
        needed = -(-(new + cached) // run.block_size)
        used = table[:needed]
        if len(used) < needed:
            raise XliteStepError(
                "block_tables", f"{len(table)} blocks for a request that needs {needed}"
            )
        if min(used) < 0 or max(used) >= num_blocks:
            raise XliteStepError(
                "block_tables", f"a block that is none of the {num_blocks} of the KV cache"
            )


def _check_device(step: DeviceStep, decoder: XliteDecoder, requests: int, tokens: int) -> None:
    if decoder.mrope_section:
        raise XliteStepError(
            "form", "positions have three coordinates, which the engine takes in a HostStep only"
        )
    _expect("lens", step.lens, torch.int32, (requests,))
    _expect("cached_lens", step.cached_lens, torch.int32, (requests,))
    starts = min(len(step.query_start_loc), requests + 1)
    _expect("query_start_loc", step.query_start_loc, torch.int32, (max(starts, requests),))
    _expect("slot_mapping", step.slot_mapping, torch.int32, (tokens,))
    width = step.block_table.shape[-1]
    _expect("block_table", step.block_table, torch.int32, (requests, width))


def _expect(name: str, tensor: torch.Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    is_fitting = tensor.dtype == dtype and tensor.shape == shape
    if not is_fitting or tensor.device.type != "npu" or not tensor.is_contiguous():
        raise XliteStepError(
            name,
            f"{list(tensor.shape)} of {tensor.dtype} on {tensor.device} with strides "
            f"{tensor.stride()}, expected contiguous {list(shape)} of {dtype} on the device",
        )
