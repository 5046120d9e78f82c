# SPDX-License-Identifier: Apache-2.0
"""SiLU gate of Llama-like MLPs."""

import torch
import torch_npu
from vllm.model_executor.layers.activation import SiluAndMul

__all__ = ["NpuSiluAndMul"]


class NpuSiluAndMul(SiluAndMul):
    """``silu(x[..., :d]) * x[..., d:]`` as one kernel."""

    def forward_oot(self, x: torch.Tensor) -> torch.Tensor:
        """Gate one half of the last dimension with the other.

        Parameters
        ----------
        x
            Gate and up projections side by side, ``[tokens, 2 * d]``.

        Returns
        -------
        torch.Tensor
            ``[tokens, d]``, dtype of `x`.
        """
        return torch_npu.npu_swiglu(x)
