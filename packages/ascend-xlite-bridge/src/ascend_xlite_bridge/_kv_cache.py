# SPDX-License-Identifier: Apache-2.0
"""The KV cache as the engine writes and reads it."""

from collections.abc import Sequence

import torch

from ascend_xlite_bridge._decoder.decoder import XliteDecoder
from ascend_xlite_bridge._decoder.limits import XliteRun
from ascend_xlite_bridge.errors import XliteWeightError

__all__ = ["check_kv_cache"]

_MAX_PITCH = 2**32  # the kernels count the elements from block to block in 32 bits


def check_kv_cache(
    caches: Sequence[tuple[torch.Tensor, torch.Tensor]],
    decoder: XliteDecoder,
    run: XliteRun,
    device: torch.device,
) -> int:
    """Check the caches of all layers.

    Parameters
    ----------
    caches
        Keys and values of each layer: shape (blocks, block_size, key and value heads of the rank,
        head_dim). Blocks may lie apart, as in `cache[:, 0]` of one tensor for both; what is in a
        block must be contiguous.
    decoder, run, device
        What they must fit.

    Returns
    -------
    int
        Blocks.

    Raises
    ------
    XliteWeightError
        If one does not fit.
    """
    if len(caches) != decoder.num_layers:
        raise XliteWeightError(
            "the KV cache", f"it has {len(caches)} layers, and the model {decoder.num_layers}"
        )
    inner = (run.block_size, decoder.num_local_kv_heads(run.ranks), decoder.head_dim)
    strides = (inner[1] * inner[2], inner[2], 1)
    blocks = caches[0][0].shape[0]
    for layer, pair in enumerate(caches):
        for kind, cache in zip(("keys", "values"), pair, strict=True):
            name = f"the cache of {kind} of layer {layer}"
            if tuple(cache.shape) != (blocks, *inner):
                raise XliteWeightError(
                    name, f"its shape is {list(cache.shape)}, expected {[blocks, *inner]}"
                )
            if cache.dtype != decoder.dtype or cache.device != device:
                raise XliteWeightError(
                    name,
                    f"it is {cache.dtype} on {cache.device}, expected {decoder.dtype} on {device}",
                )
            if cache.stride()[1:] != strides or not 0 < cache.stride(0) < _MAX_PITCH:
                raise XliteWeightError(
                    name,
                    f"its strides are {cache.stride()}, expected {strides} within a block and "
                    f"fewer than {_MAX_PITCH} between blocks",
                )
    return int(blocks)
