# SPDX-License-Identifier: Apache-2.0
"""The C ABI of libopapi: what it exports, and that it agrees with the callers in torch_npu.

`call_sites.json` holds facts read from op-plugin: for each aclnn function that torch_npu 2.13
names, the kinds of the arguments it passes, in order ("?" where a kind depends on the call).
"""

import ctypes
import json
import subprocess
from pathlib import Path

import pytest
import torch_npu  # noqa: F401  loads libopapi.so

FACTS = json.loads((Path(__file__).parent / "call_sites.json").read_text(encoding="utf-8"))


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
    exported = {line.split()[-1] for line in symbols.stdout.splitlines()}
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
        facts = FACTS["operators"].get(name)
        if facts is None or name in by_hand:
            continue
        expected = facts.split()
        agree = len(expected) == len(kinds) and all(
            fact in ("?", kind) for fact, kind in zip(expected, kinds, strict=True)
        )
        if not agree:
            wrong[name] = (kinds, expected)
    assert not wrong


def test_few_operators_lack_facts(declared):
    # Called from torch_npu itself, not from op-plugin, or only asked for by name.
    assert set(declared) - set(FACTS["operators"]) == {
        "aclnnInplaceCeil",
        "aclnnInplaceCopy",
        "aclnnLogSigmoid",
        "aclnnNpuFormatCast",
    }
