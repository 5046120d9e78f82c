# SPDX-License-Identifier: Apache-2.0
"""Models by family, with what transformers and engines in every graph mode answer."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pytest

from support.engine import Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.models import make_model
from support.reference import Reference, make_reference
from support.runs import FRESH, PROMPTS, engine_options

__all__ = ["MODES", "NEW_TOKENS", "FamilyRuns", "cases_of"]

NEW_TOKENS = 16
MODES = ["eager", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"]


def cases_of(families: Iterable[str], sample: tuple[str, str]) -> list[Any]:
    """Parameters of tests: every family in every mode; all but one are slow."""
    return [
        pytest.param(*case, marks=() if case == sample else pytest.mark.slow)
        for case in ((family, mode) for family in families for mode in MODES)
    ]


class FamilyRuns:
    """Makes the models, and remembers what was asked of them.

    Parameters
    ----------
    folder
        Where models are written.
    families
        Keys of `make_model`.
    """

    def __init__(self, folder: Path, families: Collection[str]) -> None:
        self.models = {family: make_model(family, folder / family) for family in families}
        self._references: dict[str, Reference] = {}

    def reference(self, family: str) -> Reference:
        """What transformers answers to PROMPTS and FRESH."""
        if family not in self._references:
            self._references[family] = make_reference(
                self.models[family], [*PROMPTS, *FRESH], NEW_TOKENS
            )
        return self._references[family]

    def result(
        self,
        family: str,
        mode: str,
        runs: EngineRuns,
        batches: list[Batch],
        sabotage: str | None = None,
        **options: Any,
    ) -> EngineResult:
        """What an engine answers.

        Parameters
        ----------
        family, mode
            Of the engine.
        runs
            Where it runs.
        batches
            What it is asked.
        sabotage
            As in `EngineRun`.
        **options
            Others of ``vllm.LLM``.
        """
        name = ", ".join([family, mode, *map(str, options.items()), *([sabotage] * bool(sabotage))])
        run = EngineRun(
            name, engine_options(self.models[family], mode, **options), batches, sabotage
        )
        return succeeded(runs.results([run])[name])
