# SPDX-License-Identifier: Apache-2.0
"""Layers of vLLM on torch_npu's fused kernels, and the kernel that V1 otherwise needs Triton for.

vLLM instantiates the registered subclass wherever a model names the base class. Their forward
methods are traced by Dynamo in compiled modes: they have no side effects.
"""

from typing import Any

from vllm.model_executor.custom_op import op_registry_oot

from ascend_vllm_plugin.ops._activation import NpuSiluAndMul
from ascend_vllm_plugin.ops._experts import NpuExperts
from ascend_vllm_plugin.ops._norm import NpuRMSNorm
from ascend_vllm_plugin.ops._rotary import ROTARY_CLASSES
from ascend_vllm_plugin.ops._slots import compute_slot_mapping

__all__ = ["NpuExperts", "NpuRMSNorm", "NpuSiluAndMul", "compute_slot_mapping", "register_layers"]


def register_layers() -> None:
    """Register the layers in vLLM's out-of-tree registry; a second call does nothing."""
    layers: dict[str, Any] = {
        "RMSNorm": NpuRMSNorm,
        "SiluAndMul": NpuSiluAndMul,
        "UnquantizedFusedMoEMethod": NpuExperts,
        **ROTARY_CLASSES,
    }
    for name, layer in layers.items():
        if name not in op_registry_oot:
            layer.register_oot(layer, name=name)
