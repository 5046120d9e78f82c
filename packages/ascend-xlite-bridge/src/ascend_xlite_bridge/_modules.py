# SPDX-License-Identifier: Apache-2.0
"""Where a loaded decoder keeps its layers: vLLM's modules, or Hugging Face's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ascend_xlite_bridge.errors import XliteWeightError

__all__ = ["DecoderModules", "find_modules"]

_TRUNKS = ("model.language_model", "language_model.model", "model", "")
_HEADS = ("lm_head", "language_model.lm_head")


@dataclass(frozen=True, slots=True)
class DecoderModules:
    """Parts of a loaded decoder.

    Parameters
    ----------
    trunk
        Has `embed_tokens`, `layers` and `norm`.
    head
        Projects to the vocabulary; None if the embedding does it.
    is_fused
        Whether the projections are put together and cut for the rank, as vLLM's are.
    """

    trunk: nn.Module
    head: nn.Module | None
    is_fused: bool

    @property
    def layers(self) -> list[nn.Module]:
        """The layers, in order."""
        return list(_get(self.trunk, "layers"))

    def find(self, path: str, layer: nn.Module | None) -> torch.Tensor | None:
        """Return the tensor at a path, or None; the path of the head begins with "lm_head."."""
        owner: nn.Module | None = self.trunk if layer is None else layer
        if path.startswith("lm_head."):
            owner = self.head or _get(self.trunk, "embed_tokens")
            path = path.removeprefix("lm_head.")
        tensor = _get(owner, path)
        return tensor.detach() if isinstance(tensor, torch.Tensor) else None

    def rotary_embedding(self) -> nn.Module | None:
        """Return the module that rotates queries and keys: vLLM has it in each layer."""
        found = _get(self.layers[0], "self_attn.rotary_emb") or _get(self.trunk, "rotary_emb")
        return found if isinstance(found, nn.Module) else None


def find_modules(model: nn.Module, num_layers: int) -> DecoderModules:
    """Find the parts of a loaded model.

    Parameters
    ----------
    model
        Of vLLM or transformers, for causal language modelling; its decoder may be a part of it.
    num_layers
        Layers that it must have.

    Raises
    ------
    XliteWeightError
        If there is no decoder in it, or one of another depth.
    """
    for path in _TRUNKS:
        trunk = _get(model, path) if path else model
        if all(_get(trunk, part) is not None for part in ("embed_tokens", "layers", "norm")):
            break
    else:
        raise XliteWeightError(
            f"the module {type(model).__name__}", "it has no embed_tokens, layers and norm"
        )
    head = next(_present(model, _HEADS), None)
    modules = DecoderModules(trunk, head, False)
    if len(modules.layers) != num_layers:
        raise XliteWeightError("layers", f"there are {len(modules.layers)}, expected {num_layers}")
    is_fused = _get(modules.layers[0], "self_attn.qkv_proj") is not None
    return DecoderModules(trunk, head, is_fused)


def _present(model: nn.Module, paths: tuple[str, ...]) -> Iterator[nn.Module]:
    for path in paths:
        if getattr(found := _get(model, path), "weight", None) is not None:
            yield found


def _get(owner: Any, path: str) -> Any:
    for name in path.split("."):
        owner = getattr(owner, name, None)
    return owner
