# SPDX-License-Identifier: Apache-2.0
"""Weights of 8 bits: what a config may say of them, and the scales as the engine has them.

The engine scales each row of activations as it comes, multiplies 8 by 8 bits, and scales the sums
by output and by row (W8A8, "dynamic"). [S] as in `_limits`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from ascend_core import OptionError

from ascend_xlite_bridge._decoder.families import Family
from ascend_xlite_bridge._decoder.hf_config import text_config

__all__ = ["engine_scales", "is_quantized", "quantization_problems"]

_OPTION = "model quantization_config"
_METHOD = "compressed-tensors"
_WEIGHTS = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
_ACTIVATIONS = {
    "num_bits": 8,
    "type": "int",
    "symmetric": True,
    "strategy": "token",
    "dynamic": True,
}


def is_quantized(config: Any) -> bool:
    """Whether a config says that weights have fewer bits than activations."""
    return bool(_quantization(config))


def quantization_problems(config: Any, family: Family, dtype: torch.dtype) -> Iterator[OptionError]:
    """List what xlite does not compute of a config's quantization.

    Parameters
    ----------
    config
        Of transformers, for the whole model.
    family
        Of the model.
    dtype
        Of activations.
    """
    quantization = _quantization(config)
    if not quantization:
        return
    method = quantization.get("quant_method")
    if method != _METHOD:
        reason = "the bridge does not know this form of quantized weights"
        yield OptionError(f"{_OPTION}.quant_method", method, reason, (_METHOD,))
        return
    if quantization.get("kv_cache_scheme"):
        reason = "xlite keeps keys and values in the type of the model"
        yield OptionError(f"{_OPTION}.kv_cache_scheme", "given", reason, "none")
    for name, group in (quantization.get("config_groups") or {}).items():
        yield from _scheme_problems(f"{name}.weights", group.get("weights"), _WEIGHTS)
        yield from _scheme_problems(
            f"{name}.input_activations", group.get("input_activations"), _ACTIVATIONS
        )
    if dtype != torch.bfloat16:
        name = str(dtype).removeprefix("torch.")
        reason = "xlite quantizes activations of bfloat16 only"
        yield OptionError("--dtype", name, reason, ("bfloat16",))
    if family.has_qkv_bias:
        reason = "xlite leaves out the bias of quantized projections of q, k and v"
        yield OptionError(_OPTION, method, reason, "plain weights for this architecture")


def engine_scales(scales: torch.Tensor) -> torch.Tensor:
    """Bring the scales of outputs into the engine's form.

    Parameters
    ----------
    scales
        Shape (..., outputs, 1), of a floating-point type.

    Returns
    -------
    torch.Tensor
        Shape (..., 2 * outputs, 1), float32: each scale in the lower half of 64 bits, as the
        device's output unit takes it. That unit looks at ten bits behind the point: they are
        rounded here, so that it does not cut them.
    """
    bits = scales.to(torch.float32).contiguous().view(torch.int32)
    kept = (bits + (1 << 12)) & ~((1 << 13) - 1)
    pairs = torch.cat([kept, torch.zeros_like(kept)], -1)
    return pairs.view(torch.float32).reshape(*scales.shape[:-2], -1, 1)


def _quantization(config: Any) -> Mapping[str, Any] | None:
    for part in (config, text_config(config)):
        if found := getattr(part, "quantization_config", None):
            return found if isinstance(found, Mapping) else dict(found.to_dict())
    return None


def _scheme_problems(
    where: str, scheme: Mapping[str, Any] | None, expected: Mapping[str, Any]
) -> Iterator[OptionError]:
    for key, value in expected.items():
        found = (scheme or {}).get(key)
        if found != value:
            yield OptionError(
                f"{_OPTION}.config_groups.{where}.{key}",
                found,
                "xlite computes 8-bit weights with a scale per output, and 8-bit activations with "
                "a scale per token",
                (str(value),),
            )
