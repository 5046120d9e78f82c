# SPDX-License-Identifier: Apache-2.0
"""Weights of 8 bits with a scale for each output, and what a model computes with them."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

__all__ = ["SCHEME", "QuantizedProducts", "dequantize", "quantize"]

SCHEME: dict[str, Any] = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"},
            "input_activations": {
                "num_bits": 8,
                "type": "int",
                "symmetric": True,
                "strategy": "token",
                "dynamic": True,
            },
        }
    },
    "ignore": ["lm_head"],
    "kv_cache_scheme": None,
}
"""What compressed-tensors writes into a config for weights and activations of 8 bits."""


def quantize(model: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Give the products of all layers 8 bits, in place; the scales have ten bits behind the point.

    It takes modules of either form, of one rank.
    """
    for owner, name, weight in list(_products(model)):
        greatest = weight.detach().float().abs().amax(-1, keepdim=True)
        scale = ((greatest / 127).view(torch.int32) & ~0x1FFF).view(torch.float32)
        scale = scale.to(dtype)
        values = (weight.float() / scale.float()).round().clamp(-127, 127).to(torch.int8)
        setattr(owner, name, nn.Parameter(values.contiguous(), requires_grad=False))
        setattr(owner, f"{name}_scale", nn.Parameter(scale.contiguous(), requires_grad=False))
    return model


def dequantize(model: nn.Module, dtype: torch.dtype) -> "QuantizedProducts":
    """Put the numbers that a quantized model stands for into it, as parameters of a type."""
    for owner, name, weight in list(_products(model)):
        values = weight.float() * getattr(owner, f"{name}_scale").float()
        setattr(owner, name, nn.Parameter(values.to(dtype), requires_grad=False))
        delattr(owner, f"{name}_scale")
    return QuantizedProducts(weight for _, _, weight in _products(model))


def _products(model: nn.Module) -> Iterator[tuple[nn.Module, str, torch.Tensor]]:
    for path, owner in model.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            is_gate = path.endswith("mlp.gate")
            if "layers." in path and parameter.dim() >= 2 and not is_gate and "scale" not in name:
                yield owner, name, parameter


class QuantizedProducts(TorchFunctionMode):
    """Within it, the rows that go into products with some weights have 8 bits."""

    def __init__(self, weights: Iterator[torch.Tensor]) -> None:
        super().__init__()
        self._weights = {weight.untyped_storage().data_ptr() for weight in weights}
        self.count = 0
        """Products that had such a weight."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.nn.functional.linear:
            x, weight, *rest = args
            if weight.untyped_storage().data_ptr() in self._weights:
                self.count += 1
                scale = x.float().abs().amax(-1, keepdim=True) / 127
                x = ((x / scale).round().clamp(-127, 127) * scale).to(x.dtype)
                return func(x, weight, *rest, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
