# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding of a Qwen3 in plain PyTorch: on the CPU the baseline, with nothing to save.

No modules, no masks, a static KV cache, and requests of equal length, so that a step is hardly more
than the kernels of the model.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoConfig, Qwen3Config

__all__ = ["Decoder"]


class Decoder:
    """A Qwen3 and the cache of one batch.

    Parameters
    ----------
    folder
        Where configuration and weights are.
    batch
        Requests, all at the same position.
    length
        Positions that the cache holds.
    """

    def __init__(self, folder: Path, batch: int, length: int) -> None:
        self._config: Qwen3Config = AutoConfig.from_pretrained(folder)
        self._weights = load_file(folder / "model.safetensors")
        self._batch = batch
        heads, size = self._config.num_key_value_heads, self._config.head_dim
        self._cache = torch.zeros(2, self._config.num_hidden_layers, batch, heads, length, size)
        theta = self._config.rope_parameters["rope_theta"]
        frequencies = theta ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
        angles = torch.outer(torch.arange(length), frequencies).repeat(1, 2)
        self._cos, self._sin = angles.cos(), angles.sin()

    def step(self, tokens: torch.Tensor, position: int) -> torch.Tensor:
        """Take one token of each request, ``[batch]``, and return the next ones."""
        states = functional.embedding(tokens, self._weights["model.embed_tokens.weight"])
        for layer in range(self._config.num_hidden_layers):
            name = f"model.layers.{layer}."
            normed = self._norm(states, name + "input_layernorm")
            states = states + self._attention(normed, layer, position)
            normed = self._norm(states, name + "post_attention_layernorm")
            gate = functional.silu(self._linear(normed, name + "mlp.gate_proj"))
            gated = gate * self._linear(normed, name + "mlp.up_proj")
            states = states + self._linear(gated, name + "mlp.down_proj")
        states = self._norm(states, "model.norm")
        return self._linear(states, "lm_head").argmax(-1)

    def _attention(self, states: torch.Tensor, layer: int, position: int) -> torch.Tensor:
        name = f"model.layers.{layer}.self_attn."
        query, key, value = (
            self._linear(states, f"{name}{part}_proj").view(self._batch, -1, self._config.head_dim)
            for part in "qkv"
        )
        keys, values = self._cache[:, layer]
        keys[:, :, position] = self._rotate(self._norm(key, name + "k_norm"), position)
        values[:, :, position] = value
        mixed = functional.scaled_dot_product_attention(
            self._rotate(self._norm(query, name + "q_norm"), position)[:, :, None],
            keys[:, :, : position + 1],
            values[:, :, : position + 1],
            enable_gqa=True,
        )
        return self._linear(mixed.reshape(self._batch, -1), name + "o_proj")

    def _rotate(self, heads: torch.Tensor, position: int) -> torch.Tensor:
        first, second = heads.chunk(2, -1)
        turned = torch.cat((-second, first), -1)
        return heads * self._cos[position] + turned * self._sin[position]

    def _norm(self, states: torch.Tensor, name: str) -> torch.Tensor:
        weight = self._weights[name + ".weight"]
        return functional.rms_norm(states, weight.shape, weight, self._config.rms_norm_eps)

    def _linear(self, states: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(states, self._weights[name + ".weight"])
