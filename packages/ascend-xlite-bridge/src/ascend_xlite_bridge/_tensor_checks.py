# SPDX-License-Identifier: Apache-2.0
"""What must hold for a tensor whose address the engine gets: it believes whatever it is told."""

import torch

from ascend_xlite_bridge.errors import XliteWeightError

__all__ = ["check_tensor"]


def check_tensor(
    tensor: torch.Tensor,
    name: str,
    shape: tuple[int, ...],
    dtypes: tuple[torch.dtype, ...],
    device: torch.device,
) -> None:
    """Check a tensor.

    Parameters
    ----------
    tensor
        What would be handed over.
    name
        How an error names it.
    shape, dtypes, device
        What is expected.

    Raises
    ------
    XliteWeightError
        If it differs, or does not lie in memory in the order of its dimensions.
    """
    if tuple(tensor.shape) != shape:
        raise XliteWeightError(name, f"its shape is {list(tensor.shape)}, expected {list(shape)}")
    if tensor.dtype not in dtypes:
        expected = " or ".join(str(dtype) for dtype in dtypes)
        raise XliteWeightError(name, f"its type is {tensor.dtype}, expected {expected}")
    if tensor.device != device:
        raise XliteWeightError(name, f"it is on {tensor.device}, expected {device}")
    if not tensor.is_contiguous():
        raise XliteWeightError(name, f"its strides are {tensor.stride()}, expected contiguous rows")
