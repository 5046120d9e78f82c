# SPDX-License-Identifier: Apache-2.0
"""RMS normalization, with and without the residual addition before it."""

from typing import Any

import torch
import torch_npu
from vllm.logger import init_logger
from vllm.model_executor.layers.layernorm import RMSNorm

__all__ = ["NpuRMSNorm"]

logger = init_logger(f"vllm.{__name__}")


class NpuRMSNorm(RMSNorm):
    """RMSNorm on ``npu_rms_norm`` and ``npu_add_rms_norm``.

    The kernels always scale and always take the variance over all of the last dimension: a layer
    without weight, or with a variance over a part, runs on PyTorch's operators and says so once.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._fits_the_kernel = self.has_weight and self.variance_size_override is None
        if not self._fits_the_kernel:
            logger.warning_once(
                "RMSNorm without weight or over a part of its input does not fit npu_rms_norm: "
                "it runs on PyTorch's operators, which is slower"
            )

    def forward_oot(
        self, x: torch.Tensor, residual: torch.Tensor | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Normalize `x`, or `x + residual`, over the last dimension.

        Parameters
        ----------
        x
            ``[..., hidden]``.
        residual
            Same shape; added to `x` first.

        Returns
        -------
        torch.Tensor or tuple of two
            The normalized tensor and, with a residual, the sum that becomes the next residual.
        """
        if not self._fits_the_kernel:
            return self.forward_native(x, residual)
        if residual is None:
            return torch_npu.npu_rms_norm(x, self.weight, self.variance_epsilon)[0]
        normed, _, total = torch_npu.npu_add_rms_norm(
            x, residual, self.weight, self.variance_epsilon
        )
        return normed, total
