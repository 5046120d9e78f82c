# SPDX-License-Identifier: Apache-2.0
"""Rotary position embedding of queries and keys.

The kernel rotates by a table of cosines and sines. vLLM computes that table for every scaling rule
it knows (Llama 3, YaRN, linear, NTK, ...), so one forward method serves all of its classes.
"""

from typing import Any

import torch
import torch_npu
from vllm.logger import init_logger
from vllm.model_executor.layers import rotary_embedding as vllm_rotary
from vllm.model_executor.layers.rotary_embedding import RotaryEmbedding

from ascend_vllm_plugin.compat.rotary import table_for

__all__ = ["ROTARY_CLASSES", "NpuRotary"]

logger = init_logger(f"vllm.{__name__}")


class NpuRotary(RotaryEmbedding):
    """A rotary embedding on ``npu_mrope``, which without sections is ordinary RoPE.

    The kernel rotates halves, queries and keys together, and documents that sizes are multiples of
    32, or 16 for float32. What does not fit runs on PyTorch's operators and says so once.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        step = 16 if self.dtype == torch.float32 else 32
        self._fits_the_kernel = (
            self.is_neox_style and self.head_size % step == 0 and self.rotary_dim % step == 0
        )
        if not self._fits_the_kernel:
            logger.warning_once(
                "rotary embedding (head size %d, dimension %d, %s) does not fit npu_mrope: "
                "it runs on PyTorch's operators, which is slower",
                self.head_size,
                self.rotary_dim,
                "halves" if self.is_neox_style else "interleaved pairs",
            )

    def forward_oot(
        self, positions: torch.Tensor, query: torch.Tensor, key: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Rotate queries and keys by their positions.

        Parameters
        ----------
        positions
            ``[tokens]``, int64.
        query, key
            ``[tokens, heads * head_size]``; views with gaps between rows are allowed.

        Returns
        -------
        tuple of torch.Tensor
            Rotated copies, contiguous.
        """
        # Ernie4_5ForCausalLM says that pairs are interleaved after the layer was made.
        if key is None or not (self._fits_the_kernel and self.is_neox_style):
            return self.forward_native(positions, query, key)
        rotated: tuple[torch.Tensor, torch.Tensor] = torch_npu.npu_mrope(
            positions,
            query.contiguous(),
            key.contiguous(),
            table_for(self, query),
            self.head_size,
            mrope_section=[0, 0, 0],
            rotary_mode="half",
        )
        return rotated


def _on_npu(base: type[RotaryEmbedding]) -> type[Any]:
    """Subclass of one of vLLM's classes that rotates with the kernel."""
    return type(f"Npu{base.__name__}", (NpuRotary, base), {"__doc__": NpuRotary.__doc__})


# Only classes whose forward is the plain rotation of both tensors by `cos_sin_cache`.
ROTARY_CLASSES = {
    base.__name__: _on_npu(base)
    for base in (
        RotaryEmbedding,
        vllm_rotary.DynamicNTKScalingRotaryEmbedding,
        vllm_rotary.LinearScalingRotaryEmbedding,
        vllm_rotary.Llama3RotaryEmbedding,
        vllm_rotary.NTKScalingRotaryEmbedding,
        vllm_rotary.YaRNScalingRotaryEmbedding,
    )
}
