# SPDX-License-Identifier: Apache-2.0
"""Engines in Xlite mode that the tests look at, and what each of them must say of its steps."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pytest

from support.engine import Batch, EngineRun
from support.runs import FRESH, PROMPTS, engine_options

__all__ = [
    "ABORTED",
    "ALL",
    "CASES",
    "COLLECTIVES",
    "MODELS",
    "NEW_TOKENS",
    "REPEATED",
    "ROTATION",
    "XliteCase",
    "needs_xlite",
    "xlite",
]

needs_xlite = pytest.mark.skipif(find_spec("xlite") is None, reason="xlite is not installed")

ALL = os.environ.get("ASCEND_TEST_XLITE") == "all"
NEW_TOKENS = 16
ROTATION = "rope_and_cache_bfloat16_t"
"""A kernel of xlite's that runs once in each layer."""
COLLECTIVES = ("allreduce_", "allgather_", "reduce_scatter_")
"""How the names of XCCL's kernels begin."""
REPEATED = 5
"""How many of the prompts, the last ones, are given once more: from the prefix cache."""
ABORTED = [1, 4, 7]
"""Numbers of prompts: short, of a block, and long."""

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),  # with the rope scaling of Llama 3
    "qwen2": ("qwen2", {}),  # with tied embeddings
    "qwen3": ("qwen3", {}),  # with a head size that is not hidden size / heads
    "qwen3 tied": ("qwen3", {"tie_word_embeddings": True}),
    "qwen3_moe": ("qwen3_moe", {}),
}
"""By name: a family, and what differs from the models of other tests."""

_CHUNKED = {"max_num_batched_tokens": 64}
"""Prompts are cut into pieces, which share steps with decoding."""

_FEW_BLOCKS = {"num_gpu_blocks_override": 8}
"""Too few for all prompts at once: some requests are preempted, and computed again."""


@dataclass(frozen=True)
class XliteCase:
    """One engine.

    Attributes
    ----------
    model
        Key of `MODELS`.
    full_mode
        Whether xlite runs every step.
    mode
        Graph mode, or "eager".
    options
        Others of ``vllm.LLM``.
    devices
        Ranks of tensor parallelism.
    aborts
        Whether `ABORTED` of the prompts are aborted in one more round.
    collectives
        What adds up between ranks: xlite's own kernels, or HCCL.
    """

    model: str
    full_mode: bool
    mode: str = "FULL_AND_PIECEWISE"
    options: Mapping[str, Any] = field(default_factory=dict)
    devices: int = 1
    aborts: bool = False
    collectives: Literal["XCCL", "HCCL"] = "XCCL"

    @property
    def name(self) -> str:
        named = [self.model, "full" if self.full_mode else "decode", self.mode, *self.options]
        if self.devices > 1:
            named += [f"{self.devices} devices", self.collectives]
        return ", ".join(named)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the engine's process."""
        return {"XLITE_DISABLE_XCCL": "1" if self.collectives == "HCCL" else "0"}

    def run(self, folder: Path) -> EngineRun:
        """Describe the engine: all prompts at once, some of them again, and long ones."""
        options = engine_options(folder, self.mode, dtype="bfloat16", **self.options)
        options["additional_config"] = xlite(full_mode=self.full_mode)
        options["tensor_parallel_size"] = self.devices
        batches = [
            Batch(PROMPTS, NEW_TOKENS),
            Batch(PROMPTS[-REPEATED:], NEW_TOKENS),
            Batch(FRESH, NEW_TOKENS),
        ]
        if self.aborts:
            batches.append(Batch(PROMPTS, NEW_TOKENS, aborted=ABORTED))
        return EngineRun(f"xlite, {self.name}", options, batches)


CASES = [
    XliteCase("qwen3", full_mode=False),
    XliteCase("llama", full_mode=True, options=_CHUNKED, aborts=True),
    XliteCase("qwen2", full_mode=False, mode="FULL", options=_CHUNKED),
]
if ALL:
    CASES += [
        *(
            XliteCase(model, full_mode=False)
            for model in ("llama", "qwen2", "qwen3 tied", "qwen3_moe")
        ),
        *(XliteCase(model, full_mode=True) for model in MODELS),
        XliteCase("qwen3_moe", full_mode=True, options=_CHUNKED),
        XliteCase("qwen3_moe", full_mode=False, options=_CHUNKED),
        *(XliteCase(model, full_mode=True, options=_CHUNKED) for model in ("qwen2", "qwen3")),
        XliteCase("qwen3", full_mode=False, options=_CHUNKED),
        XliteCase("qwen3", full_mode=False, mode="FULL_DECODE_ONLY"),
        XliteCase("qwen3", full_mode=False, mode="eager"),
        XliteCase("qwen3", full_mode=True, mode="eager"),
        *(XliteCase("qwen3", full_mode, options=_FEW_BLOCKS) for full_mode in (False, True)),
        *(XliteCase("llama", full_mode, devices=2) for full_mode in (False, True)),
        *(
            XliteCase("llama", full_mode, devices=2, collectives="HCCL")
            for full_mode in (False, True)
        ),
    ]


def xlite(*, full_mode: bool) -> dict[str, Any]:
    """Return the plugin's options that turn Xlite mode on."""
    return {"xlite_graph_config": {"enabled": True, "full_mode": full_mode}}
