# SPDX-License-Identifier: Apache-2.0
"""Every option of vLLM's command line runs, is refused by its name, or has nothing to do here."""

import ast
import re
from pathlib import Path

import pytest
from support.engine import OFF_LIMITS, Batch, EngineRun, EngineRuns, succeeded
from support.options import Refusal, Verdicts, merged, page
from support.reference import make_reference
from support.runs import PROMPTS
from support.scripts import lines_of

VERDICTS = Verdicts()
NEW_TOKENS = 16
ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "packages/ascend-vllm-plugin/src/ascend_vllm_plugin"
GRAPH_MODES = ROOT / "docs" / "graph-modes.md"
OPTION = re.compile(r"--[a-z-]+|[A-Z]+_[A-Z_0-9]+|(?:attention|compilation)_config\.[a-z_]+")


@pytest.fixture(scope="session")
def errors(tiny_model: Path, vllm_environment: dict[str, str]) -> dict[str, str]:
    """Error of each refusal, by name of the option or variable."""
    defaults = {"model": str(tiny_model), "max_model_len": 512, "max_num_seqs": 8}
    jobs = [merged(refusal.options, defaults) for refusal in VERDICTS.refusals]
    found = lines_of("config_process.py", vllm_environment, jobs, count=len(jobs))
    result = {refusal.name: text for refusal, text in zip(VERDICTS.refusals, found, strict=True)}
    # No two variables are about the same thing, so one process shows what each gives.
    variables = {variable.name: variable.value for variable in VERDICTS.variables}
    (text,) = lines_of("config_process.py", vllm_environment | variables, [defaults])
    return result | dict.fromkeys(variables, text)


def test_every_option_of_the_installed_vllm_has_one_verdict(
    vllm_environment: dict[str, str],
) -> None:
    (options,) = lines_of("options_process.py", vllm_environment)
    assert len(options) > 250
    assert set(options) - VERDICTS.names() == set(), "options without a verdict in options.toml"
    assert VERDICTS.names() - set(options) == set(), "verdicts on options that there are not"
    assert VERDICTS.twice() == set()


@pytest.mark.parametrize(
    "refusal", [*VERDICTS.refusals, *VERDICTS.variables], ids=lambda refusal: refusal.name
)
def test_what_is_refused_is_refused_with_the_configuration(
    refusal: Refusal, errors: dict[str, str]
) -> None:
    error = errors[refusal.name]
    assert refusal.error in error
    if not refusal.by_vllm:
        name = refusal.name.rpartition(".")[2].removeprefix("--")
        assert name.replace("-", "_") in error.replace("-", "_")


@pytest.mark.slow
@pytest.mark.parametrize("engine", VERDICTS.engine_options())
def test_what_runs_gives_the_tokens_of_transformers(
    engine: str, tiny_model: Path, vllm_environment: dict[str, str], engine_runs: EngineRuns
) -> None:
    environment = VERDICTS.environments.get(engine, {})
    runs = [
        EngineRun(name, {**options, "model": str(tiny_model)}, [Batch(PROMPTS, NEW_TOKENS)])
        for name, options in VERDICTS.engine_options().items()
        if VERDICTS.environments.get(name, {}) == environment
    ]
    if environment:
        engine_runs = EngineRuns(vllm_environment | environment, OFF_LIMITS)
    result = succeeded(engine_runs.results(runs)[engine])
    assert result.tokens == [make_reference(tiny_model, PROMPTS, NEW_TOKENS).tokens]


def test_every_option_that_the_plugin_refuses_is_in_the_documentation() -> None:
    options = {
        node.value
        for module in ("graph_sizes", "refusals", "missing")
        for node in ast.walk(ast.parse((PLUGIN / f"{module}.py").read_text()))
        if isinstance(node, ast.Constant) and OPTION.fullmatch(str(node.value))
    }
    assert len(options) > 20
    options -= {name for names in VERDICTS.untested.values() for name in names}  # warned of
    documented = section(page(VERDICTS)) + section(GRAPH_MODES.read_text())
    assert {option for option in options if f"`{option}`" not in documented} == set()


def section(text: str) -> str:
    """What a page has under "What is rejected"."""
    return text.partition("## What is rejected")[2].partition("\n## ")[0]


def test_the_page_of_the_documentation_has_every_verdict() -> None:
    text = page(VERDICTS)
    assert {name for name in VERDICTS.names() if f"`{name}`" not in text} == set()
    refused = section(text)
    assert [r.name for r in VERDICTS.refusals if f"{r.name}` | `" not in refused] == []
    assert [r.name for r in VERDICTS.refusals if r.error not in refused] == []
