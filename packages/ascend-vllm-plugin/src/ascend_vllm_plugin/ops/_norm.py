# SPDX-License-Identifier: Apache-2.0
"""RMS normalisation, with and without the residual addition before it."""

import torch
import torch_npu
from vllm.model_executor.layers.layernorm import RMSNorm

__all__ = ["NpuRMSNorm"]


class NpuRMSNorm(RMSNorm):
    """RMSNorm on ``npu_rms_norm`` and ``npu_add_rms_norm``."""

    def forward_oot(
        self, x: torch.Tensor, residual: torch.Tensor | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Normalise `x`, or `x + residual`, over the last dimension.

        Parameters
        ----------
        x
            ``[..., hidden]``.
        residual
            Same shape; added to `x` first.

        Returns
        -------
        torch.Tensor or tuple of two
            The normalised tensor and, with a residual, the sum that goes on as the residual.
        """
        if not self.has_weight or self.variance_size_override is not None:
            # The kernels always scale and always take the variance over all of the last dimension.
            return self.forward_native(x, residual)
        if residual is None:
            return torch_npu.npu_rms_norm(x, self.weight, self.variance_epsilon)[0]
        normed, _, total = torch_npu.npu_add_rms_norm(
            x, residual, self.weight, self.variance_epsilon
        )
        return normed, total
