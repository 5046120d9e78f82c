# SPDX-License-Identifier: Apache-2.0
"""The C ABI of libopapi: what it exports, and that it agrees with the callers in torch_npu.

The facts about the callers are those of `spec/operators.toml`.
"""

import ctypes
import subprocess
import tomllib
from pathlib import Path

import pytest
import torch
import torch_npu  # noqa: F401  loads libopapi.so
from support.oracle import run_and_wait

SPEC = Path(__file__).parents[3] / "spec" / "operators.toml"
FACTS = tomllib.loads(SPEC.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def libopapi():
    return ctypes.CDLL("libopapi.so")


@pytest.fixture(scope="module")
def declared(libopapi):
    """Name of every operator -> kinds of its arguments."""
    libopapi.ascendSimDescribeOperators.restype = ctypes.c_char_p
    lines = libopapi.ascendSimDescribeOperators().decode().splitlines()
    return {name: kinds for name, *kinds in (line.split() for line in lines)}


def test_there_are_operators(declared):
    assert len(declared) > 300


def test_every_operator_has_both_phases(libopapi, declared):
    for name in declared:
        assert hasattr(libopapi, name), name
        assert hasattr(libopapi, name + "GetWorkspaceSize"), name


def test_nothing_is_exported_that_is_not_declared(declared):
    with Path("/proc/self/maps").open(encoding="utf-8") as maps:
        path = next(line.split()[-1] for line in maps if "libopapi.so" in line)
    command = ["nm", "-D", "--defined-only", path]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split() for line in symbols.stdout.splitlines()]
    exported = {row[-1] for row in rows if row[-2] != "W"}  # a stub is weak
    prepares = {name for name in exported if name.endswith("WorkspaceSize")}
    launches = {name for name in exported if name.startswith("aclnn")} - prepares
    launches -= {"aclnnNpuFormatCastCalculateSizeAndFormat"}  # a question, not an operator
    prepared = {name.removesuffix("WorkspaceSize") for name in prepares}
    assert launches == set(declared)
    assert {name.removesuffix("Get").removesuffix("GetMax") for name in prepared} == set(declared)


def test_signatures_agree_with_the_callers(declared):
    # A 0-dimensional CPU tensor becomes a scalar on its way, which the schema does not tell.
    by_hand = {"aclnnLerps", "aclnnInplaceLerps", "aclnnRsubs"}
    wrong = {}
    for name, kinds in declared.items():
        facts = FACTS.get(name, {})
        if "takes" not in facts or name in by_hand:
            continue
        expected = facts["takes"].split()
        agree = len(expected) == len(kinds) and all(
            fact in ("?", kind) for fact, kind in zip(expected, kinds, strict=True)
        )
        if not agree:
            wrong[name] = (kinds, expected)
    assert not wrong


def test_signatures_agree_with_the_pages_of_cann(declared):
    """By spec/limits.toml; of integers not their size, in which pages and headers differ."""
    of_another_version = {
        "aclnnFusedInferAttentionScoreV4",
        "aclnnGRUBackward",  # the page has a list for hx, CANN's header and torch_npu a tensor
        "aclnnMlaPrologV3WeightNz",
    }
    pages = tomllib.loads(SPEC.with_name("limits.toml").read_text(encoding="utf-8"))

    def plain(kinds):
        return ["int" if kind.startswith("int") and kind != "ints" else kind for kind in kinds]

    differing = {
        name
        for name, kinds in declared.items()
        if name in pages and plain(pages[name]["takes"].split()) != plain(kinds)
    }
    assert differing == of_another_version


def test_few_operators_lack_facts(declared):
    # Only asked for by name, where the call sites use another operator; called in two ways, for
    # CANN before and after 8.5; or called by the wheel but not by these sources (`...Tensor`).
    without = {name for name in declared if "takes" not in FACTS.get(name, {})}
    assert without == {
        "aclnnDropoutV3Tensor",
        "aclnnInplaceCeil",
        "aclnnLogSigmoid",
        "aclnnMlaPrologV3WeightNz",
        "aclnnStatelessExponentialTensor",
    }


def test_few_kinds_of_arguments_are_unknown():
    kinds = " ".join(facts.get("takes", "") for facts in FACTS.values()).split()
    assert kinds.count("?") < len(kinds) // 30


def test_an_operator_that_is_not_simulated_names_the_function_of_torch():
    x, places = torch.ones(1, 1, 2, 2).npu(), torch.zeros(1, 1, 2, 2, dtype=torch.int64).npu()
    with pytest.raises(RuntimeError, match="aclnnMaxUnpool2d failed: ascend-sim does not") as error:
        run_and_wait(torch.ops.aten.max_unpool2d, x, places, [4, 4])
    assert "torch.ops.aten.max_unpool2d led to it" in str(error.value)
