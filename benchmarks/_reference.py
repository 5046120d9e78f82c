# SPDX-License-Identifier: Apache-2.0
"""A case in plain PyTorch on the CPU; run as a program."""

import statistics
import time
from pathlib import Path
from typing import Any

from _case import Case, child_main


def measure(case: Case, model: Path) -> dict[str, Any]:
    """Return medians over the decode steps of all rounds, and tokens, as ``_engine`` does.

    Returns
    -------
    dict
        ``step_ms``, ``step_cpu_ms``, ``tokens``.
    """
    import torch
    from _decoder import Decoder

    columns = torch.tensor(case.prompts).T
    decoder = Decoder(model, case.batch, len(columns) + case.steps)
    steps: list[float] = []
    steps_cpu: list[float] = []
    with torch.inference_mode():
        for _ in range(case.rounds):
            for position, tokens in enumerate(columns):
                following = decoder.step(tokens, position)
            generated = [following]
            for position in range(len(columns), len(columns) + case.steps):
                begin, begin_cpu = time.perf_counter(), time.process_time()
                generated.append(decoder.step(generated[-1], position))
                steps.append(time.perf_counter() - begin)
                steps_cpu.append(time.process_time() - begin_cpu)
    return {
        "step_ms": 1e3 * statistics.median(steps),
        "step_cpu_ms": 1e3 * statistics.median(steps_cpu),
        "tokens": torch.stack(generated, dim=1).tolist(),
    }


if __name__ == "__main__":
    child_main(measure)
