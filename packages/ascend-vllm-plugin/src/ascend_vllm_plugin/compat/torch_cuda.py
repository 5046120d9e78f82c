# SPDX-License-Identifier: Apache-2.0
"""`torch.cuda`, where vLLM means the current device."""

import functools
from typing import Any

import torch
import torch_npu

__all__ = ["alias_torch_cuda"]


def alias_torch_cuda() -> None:
    """Let `torch.cuda` mean `torch.npu` for what the V1 runner calls by that name.

    Reason: streams and events of asynchronous scheduling and of graph capture (gpu_model_runner.py,
    parallel_state.py); vLLM's XPU runner does the same.
    Goes when: the runner uses torch.accelerator.
    """
    cuda: Any = torch.cuda
    npu: Any = torch_npu.npu
    cuda.Stream, cuda.Event = npu.Stream, npu.Event
    # Partials, because Dynamo refuses one function under two names.
    for name in ("current_stream", "default_stream", "stream", "set_stream"):
        setattr(cuda, name, functools.partial(getattr(npu, name)))
