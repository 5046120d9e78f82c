# SPDX-License-Identifier: Apache-2.0
"""Compares graphs with eager runs of the same steps, before there are requests.

Nothing else would notice a graph that reads another step's lengths or block table: its tokens look
like tokens. Steps are made up: each request has a length and blocks of its own, the cache holds
noise, and a step with other lengths comes between two replays.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from ascend_aclgraph import values_on_ranks
from ascend_ops import BLOCK_SIZE, CacheHalves, LatentCache
from vllm.config import CUDAGraphMode, get_layers_from_vllm_config
from vllm.distributed import get_world_group
from vllm.logger import init_logger
from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase

from ascend_vllm_plugin.compat.model_runner import OpenModelRunner

__all__ = ["tolerance", "unequal_sizes"]

logger = init_logger(f"vllm.{__name__}")

_STEPS = 2
_BLOCKS = 3  # of a request, at most
_SEED = 0


def unequal_sizes(runner: OpenModelRunner) -> dict[CUDAGraphMode, dict[int, float]]:
    """Find the sizes whose graphs compute something else than an eager run.

    The smallest, the middle and the largest size of each mode are tried, of those that one token
    of each request can fill; all of them if one of these fails. Ranks try the same sizes.

    Parameters
    ----------
    runner
        With its graphs captured, and no requests.

    Returns
    -------
    dict
        By mode and size: the largest difference of any rank, as a part of the largest hidden state;
        infinite for sizes that cannot be compared, of a mode in which all others differ.
    """
    most, group = runner.scheduler_config.max_num_seqs, get_world_group().cpu_group
    found: dict[CUDAGraphMode, dict[int, float]] = {}
    with _noise_in_cache(runner) as blocks:
        for mode, descriptors in runner.cudagraph_dispatcher.cudagraph_keys.items():
            decode = {each.num_tokens: each.uniform for each in descriptors}
            sizes = sorted(size for size in decode if size <= most)
            tried = sorted({*sizes[:1], *sizes[len(sizes) // 2 :][:1], *sizes[-1:]})
            for batch in (tried, [size for size in sizes if size not in tried]):
                for size in batch:
                    mine = _difference(runner, mode, size, decode=decode[size], blocks=blocks)
                    worst = max(values_on_ranks(mine, group))
                    if worst > tolerance(runner.model_config.dtype):
                        found.setdefault(mode, {})[size] = worst
                if mode not in found:
                    break
            if sizes and len(found.get(mode, ())) == len(sizes):
                found[mode] |= {size: math.inf for size in decode if size > most}
    return found


def tolerance(dtype: torch.dtype) -> float:
    """Return how far a replay may be from an eager run, as a part of the largest hidden state.

    Both run the same kernels; what differs is at most the order of a sum. A wrong length or block
    is about 1.
    """
    return max(16 * torch.finfo(dtype).eps, 1e-3)


def _difference(
    runner: OpenModelRunner, mode: CUDAGraphMode, size: int, *, decode: bool, blocks: int
) -> float:
    """Return the largest difference that a size's graph makes, without and with padding."""
    _, padded = runner.cudagraph_dispatcher.dispatch(size - 1, uniform_decode=decode)
    rows = [size, size - 1] if size > 1 and padded.num_tokens == size else [size]
    worst = 0.0
    for step in range(_STEPS):
        lengths = _lengths(size, step, min(runner.max_model_len, _BLOCKS * BLOCK_SIZE))
        _fill_inputs(runner, lengths, step, blocks)
        eager = runner.dummy_step(CUDAGraphMode.NONE, lengths, decode=decode).clone()
        for count in rows:
            replayed = runner.dummy_step(mode, lengths[:count], decode=decode)
            worst = max(worst, _distance(eager[:count], replayed))
    return worst


def _lengths(requests: int, step: int, longest: int) -> torch.Tensor:
    """Return a length for each request, 1 to `longest`, others in each step."""
    return (torch.arange(requests, dtype=torch.int32) * 37 + 101 * step + 7) % longest + 1


def _fill_inputs(runner: OpenModelRunner, lengths: torch.Tensor, step: int, blocks: int) -> None:
    requests = len(lengths)
    order = torch.arange(requests)
    vocabulary = runner.model_config.get_vocab_size()
    runner.input_ids.gpu[:requests].copy_((order * 7 + step) % vocabulary)
    runner.positions[:requests].copy_(lengths - 1)
    for table in runner.input_batch.block_table.block_tables:
        rows = table.get_numpy_array()[:requests, :_BLOCKS]
        width = rows.shape[1]
        # Block 0 is the null block.
        rows[:] = 1 + (torch.arange(requests * width).view(requests, width) + step) % blocks


@contextmanager
def _noise_in_cache(runner: OpenModelRunner) -> Iterator[int]:
    """Put noise into blocks of the cache, yield how many (the null block is left out), undo it."""
    parts = [part for layer in _attention_layers(runner) for part in _parts_of_cache(layer)]
    most = runner.scheduler_config.max_num_seqs * _BLOCKS
    blocks = min(most, *(len(part) - 1 for part in parts))
    dice = torch.Generator().manual_seed(_SEED)
    factors = torch.rand(blocks, generator=dice) + 0.5
    for part in parts:
        block = torch.randn(part.shape[1:], generator=dice)
        column = factors.view(blocks, *[1] * block.dim())
        torch.mul(block.to(part), column.to(part), out=part[1 : 1 + blocks])
    try:
        yield blocks
    finally:
        for part in parts:
            part[1 : 1 + blocks].zero_()
        for table in runner.input_batch.block_table.block_tables:
            table.get_numpy_array()[:] = 0


def _attention_layers(runner: OpenModelRunner) -> list[Any]:
    layers: Any = get_layers_from_vllm_config(runner.vllm_config, AttentionLayerBase)
    return list(layers.values())


def _parts_of_cache(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    if rank := getattr(layer, "kv_lora_rank", None):
        latent = LatentCache.of(layer.kv_cache, rank)
        return latent.latents, latent.rotated
    halves = CacheHalves.of(layer.kv_cache, layer.head_size)
    return halves.keys, halves.values


def _distance(expected: torch.Tensor, got: torch.Tensor) -> float:
    """Return the largest difference as a part of the largest value; infinite if not a number."""
    scale = expected.abs().max().float().item() or 1.0
    distance = (expected - got).abs().max().float().item() / scale
    return math.inf if math.isnan(distance) else distance
