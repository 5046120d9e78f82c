# SPDX-License-Identifier: Apache-2.0
"""Requests on a model that xlite runs: their blocks, and steps in both forms."""

from typing import Any

import torch

from ascend_xlite_bridge import DeviceStep, HostStep, StepBuffers, XliteModel, XliteRun

__all__ = ["Requests", "open_model"]

BLOCK = 16


def open_model(module: torch.nn.Module, config: Any, **changes: Any) -> XliteModel:
    """Make a model, with a KV cache whose blocks of keys and values alternate in memory."""
    device = torch.device("npu", changes.pop("device", 0))
    dtype = changes.pop("dtype", torch.bfloat16)
    table = changes.pop("table", None)
    sizes = {"max_tokens": 256, "max_requests": 4, "max_seq_len": 512, "block_size": BLOCK}
    run = XliteRun(**(sizes | changes))
    model = XliteModel.create(module, config, run, device=device, dtype=dtype, table=table)
    decoder = model.decoder
    heads = decoder.num_local_kv_heads(run.ranks)
    blocks = run.max_requests * (run.max_seq_len // run.block_size)
    size = (blocks, 2, run.block_size, heads, decoder.head_dim)
    caches = [torch.zeros(size, dtype=dtype, device=device) for _ in range(decoder.num_layers)]
    model.bind_kv_cache([(cache[:, 0], cache[:, 1]) for cache in caches])
    return model


class Requests:
    """What a serving engine knows of its requests. Their blocks are in no order, on purpose."""

    def __init__(self, model: XliteModel, count: int) -> None:
        self.model = model
        each = model.run.max_seq_len // model.run.block_size
        order = torch.randperm(count * each, generator=torch.Generator().manual_seed(3))
        self.blocks = order.view(count, each).tolist()
        self.cached = [0] * count
        self.buffers = StepBuffers(model.run, model.device)

    def host_step(self, lens: list[int], positions: torch.Tensor | None = None) -> HostStep:
        """The next tokens of each request, with everything on the host."""
        if positions is None:
            positions = self._positions(lens)
        return HostStep(
            lens=lens,
            cached_lens=list(self.cached),
            block_tables=self.blocks,
            positions=positions.to(self.model.device),
        )

    def device_step(self, lens: list[int]) -> DeviceStep:
        """The next tokens of each request, with everything on the device."""
        size, device = self.model.run.block_size, self.model.device
        positions = self._positions(lens)
        slots = [
            self.blocks[request][position // size] * size + position % size
            for request, (new, old) in enumerate(zip(lens, self.cached, strict=True))
            for position in range(old, old + new)
        ]
        starts = torch.tensor([0, *lens]).cumsum(0)
        ends = [new + old for new, old in zip(lens, self.cached, strict=True)]

        def put(values: Any, dtype: torch.dtype = torch.int32) -> torch.Tensor:
            return torch.as_tensor(values, dtype=dtype).to(device)

        return self.buffers.device_step(
            query_start_loc=put(starts),
            seq_lens=put(ends),
            positions=positions.to(device),
            slot_mapping=put(slots, torch.int64),
            block_table=put(self.blocks),
            lens_cpu=lens,
            seq_lens_cpu=ends,
        )

    def advance(self, lens: list[int]) -> None:
        """The tokens of a step are cached now."""
        self.cached = [old + new for old, new in zip(self.cached, lens, strict=True)]

    def _positions(self, lens: list[int]) -> torch.Tensor:
        return torch.cat(
            [torch.arange(old, old + new) for old, new in zip(self.cached, lens, strict=True)]
        )
