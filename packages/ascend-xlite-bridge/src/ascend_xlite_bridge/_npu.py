# SPDX-License-Identifier: Apache-2.0
"""torch_npu, imported when it is needed: without CANN it does not load, and a config is checked."""

from typing import Any

import torch

__all__ = ["is_nz", "npu", "raw_stream"]

_FRACTAL_NZ = 29  # as torch_npu numbers formats


def npu() -> Any:
    """Return torch_npu's streams and devices, as `torch.npu`."""
    import torch_npu

    return torch_npu.npu


def is_nz(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor lies in memory in the format FRACTAL_NZ."""
    if tensor.device.type != "npu":
        return False
    import torch_npu

    return bool(torch_npu.get_npu_format(tensor) == _FRACTAL_NZ)


def raw_stream(device: int) -> int:
    """Drain torch_npu's launch queue, and return the address of the current stream.

    What `torch.npu.current_stream().npu_stream` does, without an object of Python on the way, which
    takes 13 us.
    """
    import torch_npu

    return int(torch_npu._C._npu_getCurrentRawStream(device))
