# SPDX-License-Identifier: Apache-2.0
"""A case in plain PyTorch on the CPU; run as a program."""

import statistics
import time
from pathlib import Path
from typing import Any

from _case import Case, child_main


def measure(case: Case, model: Path) -> dict[str, Any]:
    """Return ``step_ms``, the median over the decode steps of all rounds, and ``tokens``."""
    import torch
    from _decoder import Decoder

    columns = torch.tensor(case.prompts).T
    decoder = Decoder(model, case.batch, len(columns) + case.steps)
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(case.rounds):
            for position, tokens in enumerate(columns):
                following = decoder.step(tokens, position)
            generated = [following]
            for position in range(len(columns), len(columns) + case.steps):
                begin = time.perf_counter()
                generated.append(decoder.step(generated[-1], position))
                times.append(time.perf_counter() - begin)
    return {
        "step_ms": 1e3 * statistics.median(times),
        "tokens": torch.stack(generated, dim=1).tolist(),
    }


if __name__ == "__main__":
    child_main(measure)
