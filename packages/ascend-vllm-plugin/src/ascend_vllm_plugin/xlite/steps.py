# SPDX-License-Identifier: Apache-2.0
"""vLLM's model on xlite: what a worker has of the engine, from its weights to its steps."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Self

import torch
from ascend_ops import BLOCK_SIZE, CacheHalves
from ascend_xlite_bridge import DeviceStep, HostStep, StepBuffers, XliteModel, meet
from torch import nn
from torch.distributed import ProcessGroup
from vllm.config import VllmConfig
from vllm.distributed.parallel_state import GroupCoordinator

from ascend_vllm_plugin.attention import NpuAttentionMetadata
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
    group
        Of all ranks, on the CPU; None if this is the only one.
    """

    def __init__(
        self,
        model: XliteModel,
        buffers: StepBuffers,
        *,
        is_full: bool,
        group: ProcessGroup | None = None,
    ) -> None:
        self._model = model
        self._buffers = buffers
        self._group = group
        self.is_full = is_full

    @classmethod
    def create(
        cls,
        vllm_config: VllmConfig,
        model: nn.Module,
        device: torch.device,
        ranks: GroupCoordinator,
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
        ranks
            Those of tensor parallelism.

        Raises
        ------
        XliteWeightError
            If a weight is not what the engine would take it for.
        XliteUnavailableError
            If the engine does not load here.
        """
        run, config = make_run(vllm_config, ranks.rank_in_group), vllm_config.model_config
        decoder = XliteModel.create(model, config.hf_config, run, device=device, dtype=config.dtype)
        is_full = PluginConfig.of(vllm_config).xlite_graph_config.full_mode
        group = ranks.cpu_group if ranks.world_size > 1 else None
        return cls(decoder, StepBuffers(run, device), is_full=is_full, group=group)

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
        deepstack: Sequence[torch.Tensor],
        host_table: torch.Tensor,
    ) -> torch.Tensor:
        """Run a step on the current stream. Nothing is copied from the device.

        Parameters
        ----------
        metadata
            Of a step without padding.
        positions
            ``[tokens]``, or ``[3, tokens]`` of a model that sees; int64, on the device.
        input_ids
            ``[tokens]``, integers, on the device.
        inputs_embeds
            ``[tokens, hidden_size]``, in place of `input_ids`.
        deepstack
            Features of images for the first layers, each like `inputs_embeds`; none without images.
        host_table
            ``[requests or more, blocks]``, integers: vLLM's block table on the host.

        Returns
        -------
        torch.Tensor
            ``[tokens, hidden_size]``: hidden states after the last norm.
        """
        if positions.dim() == 1:
            step: DeviceStep | HostStep = self._device_step(metadata, positions)
        else:  # the engine takes three coordinates in this form only
            step = _host_step(metadata, positions, host_table)
        return self._model.forward(
            step, input_ids=input_ids, inputs_embeds=inputs_embeds, deepstack=deepstack
        )

    def _device_step(self, metadata: NpuAttentionMetadata, positions: torch.Tensor) -> DeviceStep:
        batch = metadata.batch
        assert batch is not None
        return self._buffers.device_step(
            query_start_loc=batch.query_start_loc,
            seq_lens=batch.seq_lens,
            positions=positions,
            slot_mapping=batch.slot_mapping,
            block_table=batch.block_table_tensor,
            lens_cpu=_lens(metadata.query_ends),
            seq_lens_cpu=metadata.kv_lengths,
        )

    def check_weights(self, model: nn.Module) -> None:
        """Check that vLLM's model still has the tensors that the engine reads.

        Raises
        ------
        XliteReplacedWeightError
            If it has others.
        """
        self._model.check_weights(model)

    def close(self) -> None:
        """Wait for the steps of all ranks and give back the engine's memory. May be called again.

        Raises
        ------
        XliteRankError
            If another rank does not come to its end; the memory is given back all the same.
        """
        group, self._group = self._group, None
        try:
            if group is not None:
                self._model.wait()
                meet(group)  # until now, others may read this rank's memory
        finally:
            self._model.close()


def _host_step(
    metadata: NpuAttentionMetadata, positions: torch.Tensor, table: torch.Tensor
) -> HostStep:
    lens, lengths = _lens(metadata.query_ends), metadata.kv_lengths
    return HostStep(
        lens=lens,
        cached_lens=[all_ - new for all_, new in zip(lengths, lens, strict=True)],
        block_tables=[
            table[request, : -(-length // BLOCK_SIZE)].tolist()
            for request, length in enumerate(lengths)
        ],
        positions=positions.contiguous(),  # vLLM's rows lie apart
    )


def _lens(query_ends: Sequence[int]) -> list[int]:
    """Return the number of queries of each request."""
    return [end - start for start, end in pairwise((0, *query_ends))]
