# SPDX-License-Identifier: Apache-2.0
"""The table of rotations, from the model's own rotary embedding: so every scaling of it is right.

The engine rotates by whatever table it gets, and knows nothing of bases and scalings.
"""

from typing import Any

import torch
from torch import nn

from ascend_xlite_bridge._decoder.decoder import XliteDecoder
from ascend_xlite_bridge._modules import DecoderModules
from ascend_xlite_bridge._tensor_checks import check_tensor
from ascend_xlite_bridge.errors import XliteWeightError

__all__ = ["rope_table"]

_NAME = "the table of rotations"
_BY_LENGTH = ("dynamic", "longrope")  # transformers changes their frequencies with each length


def rope_table(
    modules: DecoderModules, decoder: XliteDecoder, max_seq_len: int, device: torch.device
) -> torch.Tensor:
    """Make the table for the positions below `max_seq_len`.

    Parameters
    ----------
    modules
        Of the loaded decoder.
    decoder
        What it is.
    max_seq_len
        Most tokens of a request. Coordinates of an image are smaller than its tokens are many.
    device
        Where the engine runs.

    Returns
    -------
    torch.Tensor
        Shape (positions, rotary_dim), the cosines of half a head and then the sines; float32, or
        the type of vLLM's own table.

    Raises
    ------
    XliteWeightError
        If the model has no rotary embedding that is known, or one of another size or style.
    """
    rotary = modules.rotary_embedding()
    if rotary is None:
        raise XliteWeightError(_NAME, "the module has no rotary embedding")
    if getattr(rotary, "is_neox_style", True) is not True:  # [S] gpt-j's pairs are neighbours
        raise XliteWeightError(_NAME, "it rotates neighbours, and xlite rotates halves of a head")
    cached = getattr(rotary, "cos_sin_cache", None)
    if isinstance(cached, torch.Tensor):
        table = cached[:max_seq_len].to(device)
    else:
        table = _computed(rotary, max_seq_len).to(device)
    shape = (max_seq_len, decoder.rotary_dim)
    check_tensor(table, _NAME, shape, (torch.float32, decoder.dtype), device)
    return table


def _computed(rotary: Any, max_seq_len: int) -> torch.Tensor:
    """Ask transformers' module about every position.

    A new module of the same config is asked: in a model that was converted to bfloat16, the
    frequencies of its own are rounded.
    """
    config = getattr(rotary, "config", None)
    if config is None or not isinstance(rotary, nn.Module):
        raise XliteWeightError(_NAME, f"{type(rotary).__name__} is not a module that is known")
    if (kind := getattr(rotary, "rope_type", "default")) in _BY_LENGTH:
        raise XliteWeightError(_NAME, f"rotation of type {kind} differs with the length of a text")
    fresh = type(rotary)(config=config)
    positions = torch.arange(max_seq_len).unsqueeze(0)
    like = torch.empty(0, dtype=torch.float32)
    if hasattr(rotary, "mrope_section"):  # with equal coordinates, each lane has its own frequency
        positions = positions.expand(3, 1, max_seq_len)
    cos, sin = fresh(like, positions)
    half = cos.shape[-1] // 2  # both halves of a head are the same
    return torch.cat([cos[0, :, :half], sin[0, :, :half]], dim=-1)
