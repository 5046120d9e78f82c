# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts give the tokens of transformers, in every graph mode."""

import pytest
from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRuns
from support.family_runs import NEW_TOKENS, FamilyRuns, cases_of
from support.models import LAYERS, WITH_EXPERTS
from support.runs import FRESH, PROMPTS

CASES = cases_of(WITH_EXPERTS, sample=("qwen3_moe", "FULL_AND_PIECEWISE"))
EXECUTIONS = {"eager": 0, "PIECEWISE": LAYERS + 1}
"""Executions of graphs per decode step, where that is not one."""


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> FamilyRuns:
    return FamilyRuns(tmp_path_factory.mktemp("experts"), WITH_EXPERTS)


def result_of(family: str, mode: str, families: FamilyRuns, runs: EngineRuns) -> EngineResult:
    batches = [Batch(PROMPTS, NEW_TOKENS), Batch(FRESH, NEW_TOKENS)]
    return families.result(family, mode, runs, batches)


@pytest.mark.parametrize("family", WITH_EXPERTS)
def test_no_token_of_the_reference_is_nearly_a_tie(family: str, families: FamilyRuns) -> None:
    assert families.reference(family).margin > 5e-4


@pytest.mark.parametrize(("family", "mode"), CASES)
def test_tokens_equal_transformers(
    family: str, mode: str, families: FamilyRuns, engine_runs: EngineRuns
) -> None:
    result = result_of(family, mode, families, engine_runs)
    assert [*result.tokens[0], *result.tokens[1]] == families.reference(family).tokens


@pytest.mark.parametrize(("family", "mode"), CASES)
def test_a_decode_step_executes_as_many_graphs_as_its_mode_has(
    family: str, mode: str, families: FamilyRuns, engine_runs: EngineRuns
) -> None:
    """By the simulator's count, and not only by the plugin's."""
    result = result_of(family, mode, families, engine_runs)
    before, after = result.stats[-2:]  # around FRESH, whose prefill is larger than every graph
    decode_steps = after["decode_steps"] - before["decode_steps"]
    assert decode_steps == NEW_TOKENS - 1
    executions = result.executions[-1] - result.executions[-2]
    assert executions == EXECUTIONS.get(mode, 1) * decode_steps


@pytest.mark.slow
def test_experts_in_another_order_give_other_tokens(
    families: FamilyRuns, engine_runs: EngineRuns
) -> None:
    """The tests of tokens can fail: experts that are one place off are noticed."""
    batches = [Batch(PROMPTS, 4)]
    result = families.result("qwen3_moe", "eager", engine_runs, batches, "shift_experts")
    expected = [answer[:4] for answer in families.reference("qwen3_moe").tokens[: len(PROMPTS)]]
    pairs = zip(result.tokens[0], expected, strict=True)
    assert all(got != wanted for got, wanted in pairs)


@pytest.fixture(scope="module")
def parallel_runs(vllm_environment: dict[str, str]) -> EngineRuns:
    return EngineRuns(vllm_environment, (*OFF_LIMITS, "--devices", "2"))


@pytest.mark.slow
@pytest.mark.parametrize("expert_parallel", [False, True], ids=["each expert", "whole experts"])
def test_two_devices_give_the_tokens_of_one(
    expert_parallel: bool, families: FamilyRuns, parallel_runs: EngineRuns
) -> None:
    """They share every expert, or each has half of them."""
    result = families.result(
        "mixtral",
        "FULL_AND_PIECEWISE",
        parallel_runs,
        [Batch(PROMPTS, NEW_TOKENS)],
        tensor_parallel_size=2,
        enable_expert_parallel=expert_parallel,
    )
    assert result.tokens[0] == families.reference("mixtral").tokens[: len(PROMPTS)]
    assert result.stats[-1]["eager_decode_steps"] == 0
