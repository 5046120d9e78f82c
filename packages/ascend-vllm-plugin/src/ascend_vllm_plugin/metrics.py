# SPDX-License-Identifier: Apache-2.0
"""Steps by what ran them, in the metrics of vLLM's server."""

from typing import Any

from prometheus_client import Counter
from vllm.config import VllmConfig
from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import SchedulerStats

__all__ = ["StepMetrics"]

# vLLM removes metrics with its own name in theirs when it starts another engine.
_STEPS = Counter(
    "ascend_steps",
    "Steps by what ran them and why",
    ["engine", "kind", "path", "cause"],
)


class StepMetrics(StatLoggerBase):
    """Counts ``ascend_steps_total``; an entry point of the group ``vllm.stat_logger_plugins``.

    Its labels are the engine's number, "decode" or "prefill", and what a `StepPath` has.
    """

    def __init__(self, vllm_config: VllmConfig, engine_index: int = 0) -> None:  # noqa: ARG002
        self._engine = str(engine_index)

    def record(self, scheduler_stats: SchedulerStats | None, *_: Any, **__: Any) -> None:
        """Count the step that the runner described as ``kind, path, cause``."""
        step = scheduler_stats and scheduler_stats.cudagraph_stats
        if step:
            _STEPS.labels(self._engine, *step.runtime_mode.split(", ")).inc()

    def log_engine_initialized(self) -> None:
        """Do nothing."""
