# SPDX-License-Identifier: Apache-2.0
"""Times of the model's forward, taken inside vLLM's worker."""

import time
from typing import Any, NamedTuple

__all__ = ["Forward", "ForwardTimer", "TimedEngine"]


class Forward(NamedTuple):
    """One call of the model by the model runner; it returns when all work is launched."""

    begin: float
    """Clock reading, in seconds."""
    process_cpu: float
    """Seconds that all threads of the process had spent on processors by then."""
    wall: float
    """Seconds until the call returned."""
    cpu: float
    """Seconds of it that the calling thread spent on a processor."""
    engine: float
    """Seconds of it in xlite's own call; 0 without xlite."""
    engine_cpu: float
    """Seconds of that on a processor."""


class TimedEngine:
    """xlite's model, with the time of the last call."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.wall = self.cpu = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._model, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin, cpu = time.perf_counter(), time.thread_time()
            result = method(*args, **kwargs)
            self.wall, self.cpu = time.perf_counter() - begin, time.thread_time() - cpu
            return result

        return timed


class ForwardTimer:
    """Methods for vLLM's worker, given to it as ``worker_extension_cls``."""

    model_runner: Any

    def start_forward_timer(self) -> None:
        """Time every forward from now on."""
        self.forwards: list[Forward] = []
        forward = self.model_runner._model_forward
        engine = TimedEngine(None)
        if xlite := self.model_runner.xlite:
            xlite._model._model = engine = TimedEngine(xlite._model._model)

        def timed(*args: Any, **kwargs: Any) -> Any:
            process_cpu, begin, cpu = time.process_time(), time.perf_counter(), time.thread_time()
            result = forward(*args, **kwargs)
            wall, cpu = time.perf_counter() - begin, time.thread_time() - cpu
            self.forwards.append(Forward(begin, process_cpu, wall, cpu, engine.wall, engine.cpu))
            return result

        self.model_runner._model_forward = timed

    def take_forwards(self) -> list[Forward]:
        """Return the forwards since the start or the last call."""
        forwards, self.forwards = self.forwards, []
        return forwards
