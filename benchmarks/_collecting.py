# SPDX-License-Identifier: Apache-2.0
"""What noting the touched memory adds to a capture; run as a program."""

import statistics
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from _case import Case, child_main


def measure(case: Case, model: Path) -> dict[str, Any]:
    """Capture one decode step of a decoder in plain PyTorch, with and without noting, in turn.

    Returns
    -------
    dict
        ``with_ms``, ``without_ms``: processor time of a capture, median of all rounds. ``ratio``:
        median of the rounds' own ratios.
    """
    import torch
    from _decoder import Decoder
    from ascend_aclgraph import CaptureOptions, Graph, MemoryPool
    from ascend_aclgraph._keep import KeepAlive

    decoder = Decoder(model, case.batch, length=16, device="npu")
    tokens = torch.zeros(case.batch, dtype=torch.int64, device="npu")
    pool = MemoryPool()

    def seconds() -> float:
        begin = time.process_time()
        graph = Graph.capture(
            lambda: decoder.step(tokens, 8), pool=pool, options=CaptureOptions(warmup=0)
        )
        taken = time.process_time() - begin
        graph.close()
        return taken

    def seconds_without() -> float:
        with (
            patch.object(KeepAlive, "__enter__", lambda self: self),
            patch.object(KeepAlive, "__exit__", lambda *_: None),
        ):
            return seconds()

    with Graph.capture(lambda: decoder.step(tokens, 8), pool=pool):  # keeps the pool, warms up
        pairs = [(seconds(), seconds_without()) for _ in range(case.rounds)]
    return {
        "with_ms": 1e3 * statistics.median(pair[0] for pair in pairs),
        "without_ms": 1e3 * statistics.median(pair[1] for pair in pairs),
        "ratio": statistics.median(pair[0] / pair[1] for pair in pairs),
    }


if __name__ == "__main__":
    child_main(measure)
