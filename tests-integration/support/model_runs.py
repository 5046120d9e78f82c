# SPDX-License-Identifier: Apache-2.0
"""The engines that run the tiny models of `models.toml`; as a program, all of them.

``python -m support.model_runs [NAME ...]`` runs every way of the models, or of those named, and
writes what came of it into `tested_models.toml`, which the plugin and the documentation read.
`nox -s models -- --record` is that program.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRun, EngineRuns
from support.model_table import BY, RESULTS, ROWS, read_results
from support.models import REFERENCE, make_model_of_row
from support.reference import Reference, make_reference
from support.runs import PROMPTS, engine_options

__all__ = ["MARGIN", "NEW_TOKENS", "REPEATED", "ModelRuns", "record", "what_is_wrong"]

NEW_TOKENS = 48
REPEATED = 3
"""How many of the prompts, the last ones, are given once more: from the prefix cache."""

MARGIN = 1e-4
"""Least lead of a token of the reference over the next best: ten times what fp32 rounds off."""

_DEVICES = {"TP 2": {"tensor_parallel_size": 2}}
_AT_A_TIME = 8
"""Models whose engines share a process: importing vLLM takes longer than a run."""

_PIECES = 256
"""Tokens of a step: prompts are cut into pieces that share steps with decoding, and graphs fit."""


class ModelRuns:
    """Makes models, runs engines and transformers, and remembers what came of them.

    Parameters
    ----------
    folder
        Where models are written.
    environment
        Of the engines.
    cases
        Ways of the models that will be asked for, by name of the model.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str], cases: Mapping[str, Sequence[str]]
    ) -> None:
        self._folder = folder
        self._one = EngineRuns(dict(environment), OFF_LIMITS)
        self._two = EngineRuns(dict(environment), (*OFF_LIMITS, "--devices", "2"))
        self._cases = cases
        self._references: dict[str, Reference] = {}

    def model(self, name: str) -> Path:
        """Folder of a model, which is made when it is asked for first."""
        folder = self._folder / name
        return folder if folder.exists() else make_model_of_row(ROWS[name], folder)

    def reference(self, name: str) -> Reference:
        """What transformers answers."""
        if name not in self._references:
            model = self.model(name) / REFERENCE
            self._references[name] = make_reference(model, PROMPTS, NEW_TOKENS)
        return self._references[name]

    def result(self, name: str, way: str) -> EngineResult | str:
        """What an engine answers; it is run together with those of some other models."""
        runs = self._two if way in _DEVICES else self._one
        names = list(self._cases)
        begin = names.index(name) // _AT_A_TIME * _AT_A_TIME
        together = [
            self._run(each, other)
            for each in names[begin : begin + _AT_A_TIME]
            for other in self._cases[each]
            if (other in _DEVICES) == (way in _DEVICES)
        ]
        return runs.results(together)[f"{name}, {way}"]

    def sabotaged(self, name: str, way: str, sabotage: str) -> EngineResult | str:
        """What an engine answers in which something was broken first; see `engine_process`."""
        run = self._run(name, way)
        run = replace(run, name=f"{run.name}, {sabotage}", sabotage=sabotage)
        return self._one.results([run])[run.name]

    def _run(self, name: str, way: str) -> EngineRun:
        mode = "FULL_AND_PIECEWISE" if way in _DEVICES else way
        options = engine_options(self.model(name), mode, max_num_batched_tokens=_PIECES)
        if "compilation_config" in options:
            options["compilation_config"]["cudagraph_capture_sizes"] = [2, 8, _PIECES]
        options |= _DEVICES.get(way, {})
        batches = [Batch(PROMPTS, NEW_TOKENS), Batch(PROMPTS[-REPEATED:], NEW_TOKENS)]
        return EngineRun(f"{name}, {way}", options, batches)


def what_is_wrong(result: EngineResult | str, reference: Reference) -> str:
    """Say where an engine first left the tokens of transformers, or how it failed; empty if not.

    Parameters
    ----------
    result
        Tokens of `PROMPTS`, and of the last `REPEATED` of them once more; or the log of a failure.
    reference
        What transformers answers to `PROMPTS`.
    """
    if isinstance(result, str):
        return result.strip().splitlines()[-1]
    expected = [reference.tokens, reference.tokens[-REPEATED:]]
    for batch, of_batch, given_again in zip(result.tokens, expected, ("", " again"), strict=True):
        prompts = PROMPTS[-len(of_batch) :]
        for prompt, tokens, right in zip(prompts, batch, of_batch, strict=True):
            for position, pair in enumerate(zip(tokens, right, strict=True)):
                if pair[0] != pair[1]:
                    return (
                        f"prompt of {len(prompt)} tokens{given_again}, new token {position}: "
                        f"{pair[0]}, transformers has {pair[1]}"
                    )
    return ""


def record(names: Sequence[str]) -> Iterator[str]:
    """Run models and write the file of results anew; yield a line for each run."""
    results = {row["name"]: row for row in read_results()}
    with tempfile.TemporaryDirectory() as folder:
        runs = ModelRuns(Path(folder), os.environ, {name: ROWS[name].ways for name in names})
        for name in names:
            reference, right = runs.reference(name), []
            results.pop(name, None)
            if reference.margin < MARGIN:
                yield f"{name}: nearly a tie ({reference.margin:.0e}): WRONG seed"
                continue
            for way in ROWS[name].ways:
                wrong = what_is_wrong(runs.result(name, way), reference)
                if not wrong:
                    right.append(way)
                yield f"{name}, {way}: {f'WRONG: {wrong}' if wrong else 'right'}"
            (architecture,) = AutoConfig.from_pretrained(runs.model(name)).architectures
            if right:
                of_model = {"name": name, "architecture": architecture}
                results[name] = {**of_model, "modes": right, "by": BY}
            RESULTS.write_text(_as_toml(sorted(results.values(), key=_place)))


def _place(result: Mapping[str, Any]) -> int:
    """Where a row is in `models.toml`; results are in the same order."""
    return list(ROWS).index(result["name"])


def _as_toml(rows: Iterable[Mapping[str, Any]]) -> str:
    comment = "".join(line for line in RESULTS.open() if line.startswith("#"))
    blocks = (
        ["\n[[model]]\n", *(f"{key} = {json.dumps(value)}\n" for key, value in row.items())]
        for row in rows
    )
    return comment + "".join(line for block in blocks for line in block)


def main() -> int:
    """Return 0 if all that was run was right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*ROWS, []], metavar="NAME")
    is_wrong = False
    for line in record(parser.parse_args().names or list(ROWS)):
        print(line, flush=True)
        is_wrong |= "WRONG" in line
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())
