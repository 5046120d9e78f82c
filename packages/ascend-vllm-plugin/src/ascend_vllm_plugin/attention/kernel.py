# SPDX-License-Identifier: Apache-2.0
"""The fused kernel: called at once, or captured with lengths that later steps update."""

from collections.abc import Mapping
from typing import Any

import torch
import torch_npu
from ascend_aclgraph import updatable

__all__ = ["attend"]


def attend(
    arguments: Mapping[str, Any],
    lengths: Mapping[str, Any],
    output: torch.Tensor,
    name: str | None,
) -> None:
    """Attend to a paged cache of keys and values, or of latents.

    Parameters
    ----------
    arguments
        Of ``npu_fused_infer_attention_score``, those of `lengths` excepted.
    lengths
        What a replay gives anew: see `NpuAttentionMetadata.lengths`.
    output
        ``[tokens, heads, size]``; is written.
    name
        Of the record of updates in a graph.
    """
    every = {**arguments, **lengths}
    # The kernel wants a place for the log-sum-exp even when it does not return any.
    out = [output, output.new_empty(1)]
    operator = torch_npu.npu_fused_infer_attention_score.out
    if not torch_npu.npu.is_current_stream_capturing():
        operator(**every, out=out)
        return
    # Freed when this returns: the allocator gives the same scratch memory to the next layer.
    workspace = torch_npu._npu_fused_infer_attention_score_get_max_workspace(**every)
    updatable(operator, host_args=tuple(lengths), name=name, workspace=workspace, out=out, **every)
