# SPDX-License-Identifier: Apache-2.0
"""The engines that several test modules look at: every graph mode, with the same prompts."""

import random
from pathlib import Path
from typing import Any

import pytest

from support.engine import Batch, EngineRun

__all__ = [
    "CAPTURE_SIZES",
    "FRESH",
    "MODES",
    "NEW_TOKENS",
    "PROMPTS",
    "REPEATED",
    "VARIANTS",
    "VARIED_FAMILY",
    "engine_case",
    "engine_options",
    "is_slow",
    "runs_of",
]

MODES = ["eager", "NONE", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"]
NEW_TOKENS = 64
# 3 and 5 requests are padded to graphs of 4 and 8; the larger sizes are for prefill in FULL mode.
CAPTURE_SIZES = [1, 2, 4, 8, 64, 256]


def _random_prompts(seed: int, lengths: list[int]) -> list[list[int]]:
    generator = random.Random(seed)
    return [[generator.randrange(256) for _ in range(length)] for length in lengths]


# Around and across the border of a cache block (128 tokens), alone and with the answer.
PROMPTS = _random_prompts(7, [1, 5, 17, 63, 100, 128, 200, 300])
# How many of them, the last ones, are given once more: full blocks come from the prefix cache.
REPEATED = (5, 3)
# Not in the cache, and longer than the largest graph: no mode has a graph for their prefill.
FRESH = _random_prompts(8, [290, 310])

VARIED_FAMILY = "qwen3"
VARIANTS: dict[str, dict[str, Any]] = {
    # Prompts cut into pieces that share steps with decoding; the first has a graph for every step.
    "FULL, chunked": {"mode": "FULL", "max_num_batched_tokens": 64},
    "FULL_AND_PIECEWISE, chunked": {"mode": "FULL_AND_PIECEWISE", "max_num_batched_tokens": 64},
    "FULL_DECODE_ONLY, update first": {
        "mode": "FULL_DECODE_ONLY",
        "additional_config": {"graph_update_order": "update_first", "check_graph_inputs": True},
    },
}
"""What is tried with one family only, because it does not depend on the family."""


def engine_options(model: Path, mode: str, **changes: Any) -> dict[str, Any]:
    """Options of ``vllm.LLM`` for a graph mode; "eager" is ``enforce_eager``."""
    options: dict[str, Any] = {
        "model": str(model),
        "dtype": "float32",
        "max_model_len": 512,
        "max_num_seqs": 8,
        "max_num_batched_tokens": 1024,  # all prompts at once; keeps the memory profiling short
        "gpu_memory_utilization": 0.05,
    }
    if mode == "eager":
        options["enforce_eager"] = True
    else:
        compilation: dict[str, Any] = {"cudagraph_capture_sizes": CAPTURE_SIZES}
        if mode != "FULL_AND_PIECEWISE":  # vLLM's default is left to be the default
            compilation["cudagraph_mode"] = mode
        options["compilation_config"] = compilation
    return {**options, **changes}


def is_slow(family: str, name: str) -> bool:
    """Tell whether an engine is left to `nox -s slow`: one family has every graph mode anyway."""
    if family != VARIED_FAMILY:
        return name != "FULL_AND_PIECEWISE"
    return name in ("NONE", "FULL_AND_PIECEWISE, chunked", "FULL_DECODE_ONLY, update first")


def engine_case(family: str, name: str) -> Any:
    """Return both as parameters of a test, marked as slow where that is so."""
    return pytest.param(family, name, marks=[pytest.mark.slow] if is_slow(family, name) else [])


def runs_of(family: str, model: Path, *, slow: bool = False) -> list[EngineRun]:
    """One engine per mode, and for one family the variants; those that are slow, or the others."""
    batches = [
        Batch(PROMPTS, NEW_TOKENS),
        *(Batch(PROMPTS[-count:], NEW_TOKENS) for count in REPEATED),
        Batch(FRESH, NEW_TOKENS),
    ]
    options = {mode: engine_options(model, mode) for mode in MODES}
    if family == VARIED_FAMILY:
        options |= {name: engine_options(model, **variant) for name, variant in VARIANTS.items()}
    else:
        # Whole models need no pieces, so no compilation either: that is tried here.
        for mode in ("FULL", "FULL_DECODE_ONLY"):
            options[mode]["compilation_config"]["mode"] = 0
    return [
        EngineRun(f"{family}, {name}", values, batches)
        for name, values in options.items()
        if is_slow(family, name) == slow
    ]
