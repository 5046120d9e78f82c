# SPDX-License-Identifier: Apache-2.0
"""Tiny models of many architectures give the tokens of transformers, or are refused by a need.

By default two of them are run; with ``ASCEND_TEST_MODELS=all``, which `nox -s models` sets, all
that was right when the results were written.
"""

import json
import os

import pytest
import torch
from support.engine import EngineResult, succeeded
from support.model_runs import MARGIN, REPEATED, ModelRuns, what_is_wrong
from support.model_table import BY, REFUSED, ROWS, RefusedModel, read_results
from support.models import COMMON_SHAPE
from support.reference import Reference
from support.runs import PROMPTS
from support.scripts import lines_of

ALL = os.environ.get("ASCEND_TEST_MODELS") == "all"
SAMPLE = {
    "Gemma 3, windows": ["FULL_AND_PIECEWISE"],  # layers with a window and without, in one graph
    "OLMo 2": ["FULL_AND_PIECEWISE"],  # runs on vLLM's backend for transformers' own code
}
RIGHT = {row["name"]: row["modes"] for row in read_results() if row["by"] == BY}
CASES = RIGHT if ALL else SAMPLE
RUNS = [(name, way) for name, ways in CASES.items() for way in ways]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, vllm_environment: dict[str, str]) -> ModelRuns:
    return ModelRuns(tmp_path_factory.mktemp("tiny"), vllm_environment, CASES)


@pytest.mark.parametrize("name", CASES)
def test_no_token_of_the_reference_is_nearly_a_tie(name: str, runs: ModelRuns) -> None:
    assert runs.reference(name).margin > MARGIN


@pytest.mark.parametrize(("name", "way"), RUNS)
def test_tokens_equal_transformers(name: str, way: str, runs: ModelRuns) -> None:
    expected = runs.reference(name).tokens

    result = succeeded(runs.result(name, way))

    assert result.tokens[0] == expected
    assert result.tokens[1] == expected[-REPEATED:]


@pytest.mark.parametrize(("name", "way"), [run for run in RUNS if run[1].startswith("FULL")])
def test_no_decode_step_runs_without_a_graph(name: str, way: str, runs: ModelRuns) -> None:
    stats = succeeded(runs.result(name, way)).stats[-1]

    assert stats["decode_steps"] > 0
    assert stats["eager_decode_steps"] == 0


def test_a_block_table_of_an_earlier_step_is_noticed(runs: ModelRuns) -> None:
    """The comparison can fail: layers with a window read what the capture's table named."""
    name = "Gemma 3, windows"

    result = runs.sabotaged(name, "FULL_AND_PIECEWISE", "keep_captured_block_tables")

    assert succeeded(result).tokens[0] != runs.reference(name).tokens


@pytest.mark.parametrize(
    ("batch", "prompt", "said"),
    [
        (0, 2, "prompt of 17 tokens, new token 1: 9, transformers has 2"),
        (1, 2, "prompt of 300 tokens again, new token 1: 9, transformers has 2"),
    ],
)
def test_the_first_token_that_differs_is_named(batch: int, prompt: int, said: str) -> None:
    reference = Reference([[1, 2, 3] for _ in PROMPTS], torch.zeros(0), margin=1.0)
    tokens = [[[1, 2, 3] for _ in PROMPTS[-count:]] for count in (len(PROMPTS), REPEATED)]
    result = EngineResult(tokens, logits=[], stats=[], executions=[], operations=[])
    assert what_is_wrong(result, reference) == ""

    tokens[batch][prompt][1:] = [9, 9]

    assert what_is_wrong(result, reference) == said


def test_of_an_engine_that_failed_the_error_is_named() -> None:
    reference = Reference([], torch.zeros(0), margin=1.0)
    assert what_is_wrong("log\nTraceback\nValueError: why\n", reference) == "ValueError: why"


@pytest.mark.parametrize("name", RIGHT)
def test_a_result_is_of_a_way_in_which_the_table_runs_the_model(name: str) -> None:
    assert set(RIGHT[name]) <= set(ROWS[name].ways)


@pytest.fixture(scope="module")
def errors(
    tmp_path_factory: pytest.TempPathFactory, vllm_environment: dict[str, str]
) -> dict[str, str]:
    """Error of every model that is refused, by its name."""
    folder = tmp_path_factory.mktemp("refused")
    jobs = []
    for name, model in REFUSED.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(COMMON_SHAPE | dict(model.config)))
        jobs.append({"model": str(folder / name), "skip_tokenizer_init": True})
    answers = lines_of("config_process.py", vllm_environment, jobs, count=len(jobs))
    return dict(zip(REFUSED, answers, strict=True))


@pytest.mark.parametrize("model", REFUSED.values(), ids=REFUSED)
def test_a_model_is_refused_for_what_it_needs(model: RefusedModel, errors: dict[str, str]) -> None:
    assert f"--model = '{model.config['architectures'][0]}: {model.error}" in errors[model.name]
