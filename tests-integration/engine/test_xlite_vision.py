# SPDX-License-Identifier: Apache-2.0
"""Xlite mode with models that see: the images decide tokens, and the tokens are right.

vLLM computes the images on torch_npu, and xlite the text. `nox -s xlite` runs more cases.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.engine import Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.models import LAYERS
from support.runs import engine_options
from support.vision import Question, judge_seen, make_questions, make_seeing_model
from support.xlite_engines import ALL, ROTATION, needs_xlite, xlite

TORCHVISION = Path(sys.prefix, "opt", "torchvision")
"""Where `nox` installs it; see `support/beside_cpu`."""
BESIDE_CPU = Path(__file__).parents[1] / "support" / "beside_cpu"
NEW_TOKENS = 12
DECIDED = 0.4  # of the positions, at least: with fewer the comparison would say little

CHUNKED = {"max_num_batched_tokens": 32}
"""Prompts are cut into pieces, and images with them."""


@dataclass(frozen=True)
class Case:
    """One engine.

    Attributes
    ----------
    family
        Key of `support.vision.SEEING`.
    full_mode
        Whether xlite runs every step.
    options
        Others of ``vllm.LLM``.
    """

    family: str
    full_mode: bool
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        mode = "full" if self.full_mode else "decode"
        return ", ".join([self.family, mode, *self.options])

    def run(self, folder: Path, questions: list[Question]) -> EngineRun:
        """Describe the engine: all questions twice, so that prefixes are cached, and images."""
        options = engine_options(folder, "FULL_AND_PIECEWISE", dtype="bfloat16", **self.options)
        options["additional_config"] = xlite(full_mode=self.full_mode)
        options["limit_mm_per_prompt"] = {"image": 1, "video": 0}
        prompts, images = [each.prompt for each in questions], [each.image for each in questions]
        return EngineRun(self.name, options, [Batch(prompts, NEW_TOKENS, images=images)] * 2)


CASES = [Case("qwen3_vl", full_mode=True, options=CHUNKED)]
if ALL:
    CASES += [Case("qwen3_vl", full_mode=False), Case("qwen3_vl_moe", full_mode=True)]

pytestmark = [
    needs_xlite,
    pytest.mark.skipif(not TORCHVISION.is_dir(), reason="torchvision is not installed"),
]


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    return make_questions(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("vision")
    families = {case.family for case in CASES}
    return {family: make_seeing_model(family, folder / family) for family in families}


@pytest.fixture(scope="module")
def results(
    models: dict[str, Path], questions: list[Question], vllm_environment: dict[str, str]
) -> dict[str, EngineResult | str]:
    paths = (str(BESIDE_CPU), str(TORCHVISION), os.environ.get("PYTHONPATH", ""))
    environment = {**vllm_environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    runs = [case.run(models[case.family], questions) for case in CASES]
    return EngineRuns(environment).results(runs)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def result(case: Case, results: dict[str, EngineResult | str]) -> EngineResult:
    return succeeded(results[case.name])


def test_tokens_are_those_that_bf16_allows(
    case: Case, models: dict[str, Path], questions: list[Question], result: EngineResult
) -> None:
    for answers in result.tokens:
        verdict = judge_seen(models[case.family], questions, answers)
        assert verdict.wrong == []
        assert verdict.decided > DECIDED


def test_other_images_would_give_other_tokens(
    case: Case,
    models: dict[str, Path],
    questions: list[Question],
    result: EngineResult,
    tmp_path: Path,
) -> None:
    """The comparison sees what an image is, and not only that there is one."""
    turned = []
    for number, question in enumerate(questions):
        file = question.image
        if file:
            image = Image.open(file).transpose(Image.Transpose.ROTATE_180)
            image.save(file := str(tmp_path / f"{number}.png"))
        turned.append(Question(question.prompt, file))
    assert judge_seen(models[case.family], turned, result.tokens[0]).wrong


def test_xlite_runs_the_steps_of_its_mode_and_no_other(case: Case, result: EngineResult) -> None:
    stats = result.stats[-1]
    on_xlite = sum(stats["steps_by_path"]["xlite"].values())
    assert 0 < stats["decode_steps"] < stats["steps"]
    assert on_xlite == (stats["steps"] if case.full_mode else stats["decode_steps"])
    rotations = [operations.get(ROTATION, 0) for operations in result.operations]
    assert rotations[-1] - rotations[0] == on_xlite * LAYERS
