# SPDX-License-Identifier: Apache-2.0
"""Where in the paged KV cache each token of a batch is stored."""

import torch

__all__ = ["slot_mapping"]


def slot_mapping(
    positions: torch.Tensor,
    query_start_loc: torch.Tensor,
    block_table: torch.Tensor,
    block_size: int,
    out: torch.Tensor,
    pad_id: int = -1,
) -> None:
    """Write the KV cache slot of every token into `out`.

    Token ``t`` of request ``r``, that is ``query_start_loc[r] <= t < query_start_loc[r + 1]``, gets
    ``block_table[r, positions[t] // block_size] * block_size + positions[t] % block_size``.
    Elements of `out` from ``num_tokens`` on are padding and get `pad_id`.

    All tensors are int32 or int64, mixed at will, and on one device: ``npu`` or ``cpu``.

    Parameters
    ----------
    positions : Tensor of shape (num_tokens,)
        Position of each token in its request, counted from 0.
    query_start_loc : Tensor of shape (num_reqs + 1,)
        Index of the first token of each request, then ``num_tokens``. Requests may be empty.
    block_table : Tensor of shape (>= num_reqs, max_blocks)
        Numbers of the cache blocks of each request, in order. Further rows are not read.
    block_size : int
        Tokens in a cache block.
    out : Tensor of shape (>= num_tokens,)
        Receives the slots; may be strided.
    pad_id : int, default -1
        Value for padding.

    Raises
    ------
    TypeError
        A tensor is neither int32 nor int64.
    ValueError
        Shapes, devices or `block_size` do not fit; on the CPU also values that break the contract
        above. On the NPU values are not checked, because the host would have to wait for them.

    Notes
    -----
    Safe in a graph capture: shapes depend on shapes only and the host waits for nothing. The ops on
    the device are named in ``csrc/slot_mapping_npu.cpp``.
    """
    torch.ops.ascend.slot_mapping(
        positions, query_start_loc, block_table, block_size, out, pad_id=pad_id
    )
