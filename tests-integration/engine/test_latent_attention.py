# SPDX-License-Identifier: Apache-2.0
"""Models like DeepSeek-V2 and V3 give the tokens of transformers, in every graph mode."""

import pytest
import torch
from support.engine import Batch, EngineResult, EngineRuns
from support.family_runs import NEW_TOKENS, FamilyRuns, cases_of
from support.models import LAYERS, WITH_LATENTS
from support.runs import FRESH, PROMPTS

REPEATED = 3
"""How many of the prompts, the last ones, are given once more: from the prefix cache."""

CASES = cases_of(WITH_LATENTS, sample=("deepseek_v3", "FULL_AND_PIECEWISE"))


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> FamilyRuns:
    return FamilyRuns(tmp_path_factory.mktemp("latents"), WITH_LATENTS)


def result_of(family: str, mode: str, families: FamilyRuns, runs: EngineRuns) -> EngineResult:
    batches = [Batch(prompts, NEW_TOKENS) for prompts in (PROMPTS, PROMPTS[-REPEATED:], FRESH)]
    # Prompts are cut into steps, so that later queries see keys of earlier steps.
    return families.result(family, mode, runs, batches, max_num_batched_tokens=256)


@pytest.mark.parametrize("family", WITH_LATENTS)
def test_no_token_of_the_reference_is_nearly_a_tie(family: str, families: FamilyRuns) -> None:
    assert families.reference(family).margin > 5e-4


@pytest.mark.parametrize(("family", "mode"), CASES)
def test_tokens_equal_transformers(
    family: str, mode: str, families: FamilyRuns, engine_runs: EngineRuns
) -> None:
    answers = families.reference(family).tokens
    first = answers[: len(PROMPTS)]
    result = result_of(family, mode, families, engine_runs)
    assert result.tokens == [first, first[-REPEATED:], answers[len(PROMPTS) :]]


@pytest.mark.parametrize(("family", "mode"), CASES)
def test_a_step_in_a_whole_graph_is_one_execution(
    family: str, mode: str, families: FamilyRuns, engine_runs: EngineRuns
) -> None:
    """By the simulator's count, and not only by the plugin's."""
    result = result_of(family, mode, families, engine_runs)
    steps = result.stats[-1]["steps_by_path"].get("aclgraph", {})
    in_pieces = (LAYERS + 1) * steps.get("PIECEWISE", 0)
    assert result.executions[-1] - result.executions[0] == steps.get("FULL", 0) + in_pieces
    if mode != "eager":
        assert result.stats[-1]["eager_decode_steps"] == 0


def in_few_keys(families: FamilyRuns, runs: EngineRuns, sabotage: str) -> EngineResult:
    """What is answered to PROMPTS, the last of which attends to its keys in two spans."""
    batches = [Batch(PROMPTS, NEW_TOKENS, raw_logits=True)]
    logits = {"logprobs_mode": "raw_logits", "max_logprobs": -1}
    return families.result("deepseek_v3", "FULL_AND_PIECEWISE", runs, batches, sabotage, **logits)


def off_reference(result: EngineResult, families: FamilyRuns) -> torch.Tensor:
    """How far the logits of the first new token are from transformers', per prompt."""
    wanted = families.reference("deepseek_v3").first_logits[: len(PROMPTS)]
    return (torch.tensor(result.logits[0]) - wanted).abs().amax(dim=-1)


def test_keys_that_are_made_in_spans_give_the_same_tokens(
    families: FamilyRuns, engine_runs: EngineRuns
) -> None:
    result = in_few_keys(families, engine_runs, "make_few_keys_at_once")
    assert result.tokens == [families.reference("deepseek_v3").tokens[: len(PROMPTS)]]
    assert result.operations[-1]["aclnnAttentionUpdate"] == LAYERS
    assert off_reference(result, families).max() < 1e-4


def test_spans_that_are_not_weighed_give_other_logits(
    families: FamilyRuns, engine_runs: EngineRuns
) -> None:
    """The test before can fail."""
    off = off_reference(in_few_keys(families, engine_runs, "weigh_spans_alike"), families)
    assert off[:-1].max() < 1e-4
    assert off[-1] > 0.1


@pytest.mark.slow
def test_keys_that_are_rotated_the_wrong_way_round_give_other_tokens(
    families: FamilyRuns, engine_runs: EngineRuns
) -> None:
    """The tests of tokens can fail: a swapped pairing of rotated elements is noticed."""
    batches = [Batch(PROMPTS, 4)]
    result = families.result("deepseek_v3", "eager", engine_runs, batches, "swap_rotated_pairs")
    expected = [answer[:4] for answer in families.reference("deepseek_v3").tokens[: len(PROMPTS)]]
    pairs = zip(result.tokens[0], expected, strict=True)
    assert all(got != wanted for got, wanted in pairs)
