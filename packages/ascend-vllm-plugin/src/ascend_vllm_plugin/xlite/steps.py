# SPDX-License-Identifier: Apache-2.0
"""vLLM's model on xlite: what a worker has of the engine, from its weights to its steps."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Self

import torch
from ascend_xlite_bridge import StepBuffers, XliteModel
from torch import nn
from vllm.config import VllmConfig

from ascend_vllm_plugin.attention import CacheHalves, NpuAttentionMetadata
from ascend_vllm_plugin.config import PluginConfig
from ascend_vllm_plugin.xlite.run import make_run

__all__ = ["XliteSteps"]


class XliteSteps:
    """Runs the steps of one worker that are xlite's. Made by `create`, closed by `close`.

    Parameters
    ----------
    model
        The engine's model; is owned.
    buffers
        Memory in which the metadata of steps is made.
    is_full
        Whether all steps are xlite's, and not decode steps only.
    """

    def __init__(self, model: XliteModel, buffers: StepBuffers, *, is_full: bool) -> None:
        self._model = model
        self._buffers = buffers
        self.is_full = is_full

    @classmethod
    def create(
        cls, vllm_config: VllmConfig, model: nn.Module, device: torch.device, rank: int
    ) -> Self:
        """Give the engine a model's weights, and take all memory that it will need.

        Parameters
        ----------
        vllm_config
            vLLM's configuration, with xlite turned on.
        model
            vLLM's, loaded. Its weights are shared.
        device
            Where it is.
        rank
            Of this worker, among those of tensor parallelism.

        Raises
        ------
        XliteWeightError
            If a weight is not what the engine would take it for.
        XliteUnavailableError
            If the engine does not load here.
        """
        run, config = make_run(vllm_config, rank), vllm_config.model_config
        decoder = XliteModel.create(model, config.hf_config, run, device=device, dtype=config.dtype)
        is_full = PluginConfig.of(vllm_config).xlite_graph_config.full_mode
        return cls(decoder, StepBuffers(run, device), is_full=is_full)

    @property
    def mode(self) -> str:
        """Name of the steps that are xlite's: "full" for all, or "decode"."""
        return "full" if self.is_full else "decode"

    @property
    def pool_bytes(self) -> int:
        """Memory that the engine took for what it computes in."""
        return int(self._model.pool_mebibytes) * 2**20

    def takes(self, num_tokens: int, num_requests: int) -> bool:
        """Whether a step is xlite's.

        Parameters
        ----------
        num_tokens, num_requests
            Of the step, without padding. As many of both is a decode step.
        """
        return self.is_full or num_tokens == num_requests

    def bind_kv_cache(self, caches: Iterable[CacheHalves]) -> None:
        """Say where the layers keep keys and values; must come before the first step.

        Parameters
        ----------
        caches
            Of all layers, in their order.
        """
        self._model.bind_kv_cache([(cache.keys, cache.values) for cache in caches])

    def forward(
        self,
        metadata: NpuAttentionMetadata,
        *,
        positions: torch.Tensor,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
    ) -> torch.Tensor:
        """Run a step on the current stream. Nothing is copied from the device.

        Parameters
        ----------
        metadata
            Of a step without padding.
        positions
            ``[tokens]``, int64, on the device.
        input_ids
            ``[tokens]``, integers, on the device.
        inputs_embeds
            ``[tokens, hidden_size]``, in place of `input_ids`.

        Returns
        -------
        torch.Tensor
            ``[tokens, hidden_size]``: hidden states after the last norm.
        """
        batch = metadata.batch
        assert batch is not None
        step = self._buffers.device_step(
            query_start_loc=batch.query_start_loc,
            seq_lens=batch.seq_lens,
            positions=positions,
            slot_mapping=batch.slot_mapping,
            block_table=batch.block_table_tensor,
            lens_cpu=_lens(metadata.query_ends),
            seq_lens_cpu=metadata.kv_lengths,
        )
        return self._model.forward(step, input_ids=input_ids, inputs_embeds=inputs_embeds)

    def close(self) -> None:
        """Wait for the device and give back the engine's memory. May be called again."""
        self._model.close()


def _lens(query_ends: Sequence[int]) -> list[int]:
    """Return the number of queries of each request."""
    return [end - start for start, end in pairwise((0, *query_ends))]
