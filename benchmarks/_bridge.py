# SPDX-License-Identifier: Apache-2.0
"""Decode steps of the bridge alone, without vLLM; run as a program."""

import statistics
import time
from pathlib import Path
from typing import Any

from _case import Case, child_main
from _forward_timer import TimedEngine

_BLOCK = 128
_UNSTEADY = 8


def measure(case: Case, model: Path) -> dict[str, Any]:
    """Take decode steps one after the other, as a serving engine gives them.

    Returns
    -------
    dict
        ``step_ms``: host time of a step, median. ``engine_ms``: of xlite's own call in it.
    """
    import torch
    from ascend_xlite_bridge import StepBuffers, XliteModel, XliteRun
    from transformers import AutoConfig, AutoModelForCausalLM

    device = torch.device("npu:0")
    config = AutoConfig.from_pretrained(model)
    module = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    run = XliteRun(
        max_tokens=case.batch,
        max_requests=case.batch,
        max_seq_len=case.context,
        block_size=_BLOCK,
    )

    def integers(values: list[int], dtype: torch.dtype = torch.int32) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    columns = case.context // _BLOCK
    table = integers(list(range(case.batch * columns))).view(case.batch, columns)
    ids = integers([1] * case.batch)
    starts = integers(list(range(case.batch + 1)))
    cache = (case.batch * columns, _BLOCK, config.num_key_value_heads, config.head_dim)
    times: list[tuple[float, float]] = []
    with XliteModel.create(module, config, run, device=device) as xlite:
        xlite.bind_kv_cache(
            [
                tuple(torch.zeros(cache, dtype=torch.bfloat16, device=device) for _ in "kv")
                for _ in range(case.layers)
            ]
        )
        engine = xlite._model = TimedEngine(xlite._model)
        buffers = StepBuffers(run, device)
        for position in range(16, 16 + _UNSTEADY + case.steps):
            lengths = [position + 1] * case.batch
            seq_lens = integers(lengths)
            positions = integers([position] * case.batch, torch.int64)
            slots = table[:, position // _BLOCK].long() * _BLOCK + position % _BLOCK
            xlite.wait()
            begin = time.perf_counter()
            step = buffers.device_step(
                query_start_loc=starts,
                seq_lens=seq_lens,
                positions=positions,
                slot_mapping=slots,
                block_table=table,
                lens_cpu=[1] * case.batch,
                seq_lens_cpu=lengths,
            )
            xlite.forward(step, input_ids=ids)
            times.append((time.perf_counter() - begin, engine.wall))
    step_s, engine_s = (
        statistics.median(column) for column in zip(*times[_UNSTEADY:], strict=True)
    )
    return {"step_ms": 1e3 * step_s, "engine_ms": 1e3 * engine_s}


if __name__ == "__main__":
    child_main(measure)
