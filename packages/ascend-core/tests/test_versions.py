# SPDX-License-Identifier: Apache-2.0
import dataclasses
import pickle
import re
import sys
import tomllib
from pathlib import Path

import pytest

from ascend_core import ConflictError, VersionError, versions
from ascend_core._bounds import TESTED

CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu"
MATRIX = Path(__file__).parents[3] / "support-matrix.toml"


@pytest.mark.parametrize(
    ("torch", "torch_npu", "vllm"),
    [
        ("2.13.0", "2.13.0", "0.32.0"),
        ("2.13.0+cpu", "2.13.0.post4", "0.32.0+empty"),
        ("2.13.1", "2.13.1rc1", "0.32.4.dev3"),
        ("2.13.0", "2.13.0", "0.33.0"),
    ],
)
def test_versions_within_bounds_pass(install, torch, torch_npu, vllm):
    install("torch", torch)
    install("torch_npu", torch_npu)
    install("vllm", vllm)

    versions.check()


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("torch_npu", "2.13.0.dev20261101"),
        ("torch_npu", "2.10.0.post4"),
        ("vllm", "0.31.0"),
        ("vllm", "0.34.0"),
        ("vllm", "1.0"),
        ("vllm", "unknown"),
    ],
)
def test_a_version_out_of_bounds_is_named_with_the_command_that_mends_it(install, name, version):
    install(name, version)

    with pytest.raises(VersionError, match=f"{name} {version} is installed") as caught:
        versions.check(name)

    assert "pip install " in caught.value.command
    assert f'"{name}>=' in caught.value.command
    assert caught.value.command in str(caught.value)


@pytest.mark.parametrize("version", ["2.12.9", "2.14.0", "2.14.0rc1", "2.13.0rc3"])
def test_a_torch_out_of_bounds_gives_way_to_a_build_for_the_cpu(install, version):
    """PyPI's torch for Linux is built for CUDA: the bounds alone would bring that."""
    install("torch", version)

    with pytest.raises(VersionError, match=f"torch {re.escape(version)} is installed") as caught:
        versions.check("torch")

    assert caught.value.command == f'pip install {CPU_INDEX} "torch==2.13.0+cpu"'


@pytest.mark.parametrize("version", ["2.13.0", "2.13.1", "2.13.0+cu130"])
@pytest.mark.parametrize("check", [lambda: versions.check("torch"), versions.check_pair])
def test_a_build_for_cuda_is_told_by_its_library(install, make_build_for_cuda, version, check):
    """torch_npu aborts the process beside it, and PyPI's builds have no "+cu130"."""
    install("torch", version)
    install("torch_npu", "2.13.0")
    check()

    make_build_for_cuda()

    with pytest.raises(VersionError, match=r"torch 2\.13\.\S+ is a build for CUDA") as caught:
        check()
    public = version.partition("+")[0]
    assert caught.value.command == f'pip install {CPU_INDEX} "torch=={public}+cpu"'


def test_a_pair_of_another_version_gives_way_to_the_same_for_the_cpu(install, make_build_for_cuda):
    install("torch", "2.14.0")
    install("torch_npu", "2.14.0")
    make_build_for_cuda()

    with pytest.raises(VersionError) as caught:
        versions.check_pair()

    assert caught.value.command == f'pip install {CPU_INDEX} "torch==2.14.0+cpu"'


def test_a_missing_distribution_is_named_with_the_command(install):
    with pytest.raises(VersionError, match="torch_npu is not installed") as caught:
        versions.check("torch_npu")

    assert caught.value.command == 'pip install "torch_npu>=2.13.0,<2.14"'


def test_one_command_mends_everything_that_is_wrong(install):
    install("torch", "2.10.0")
    install("torch_npu", "2.13.0")

    with pytest.raises(VersionError) as caught:
        versions.check()

    assert len(caught.value.problems) == 2
    assert caught.value.command == (
        "VLLM_TARGET_DEVICE=empty VLLM_SKIP_VERSION_SUFFIX=1 pip install --no-binary vllm "
        f'{CPU_INDEX} "torch==2.13.0+cpu" "vllm>=0.32.0,<0.34"'
    )


def test_only_what_is_named_is_checked(install):
    install("torch", "2.13.0")

    versions.check("torch")


def test_an_old_python_is_told_first(install, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))

    with pytest.raises(VersionError, match=r"Python 3\.10 is older than 3\.11"):
        versions.check()


def test_vllm_ascend_beside_the_plugin_is_a_conflict(install):
    install("vllm-ascend", "0.26.0")
    install("ascend-vllm-plugin", "0.1.0")

    with pytest.raises(ConflictError) as caught:
        versions.check_conflicts()

    assert "pip uninstall vllm-ascend" in str(caught.value)
    assert "pip uninstall ascend-vllm-plugin" in str(caught.value)


@pytest.mark.parametrize("only", ["vllm-ascend", "ascend-vllm-plugin"])
def test_either_of_them_alone_is_no_conflict(install, only):
    install(only, "0.1.0")

    versions.check_conflicts()


@pytest.mark.skipif(not MATRIX.exists(), reason="the tests are not in a checkout")
def test_the_tested_rows_are_those_of_the_support_matrix():
    rows = tomllib.loads(MATRIX.read_text())["row"]

    tested = [
        {key: row[key] for key in ("python", "torch", "torch_npu", "vllm")}
        for row in rows
        if row["status"] != "planned"
    ]
    assert [dataclasses.asdict(row) for row in TESTED] == tested


@pytest.mark.parametrize("row", TESTED)
def test_every_tested_row_is_within_the_bounds(install, row):
    install("torch", row.torch)
    install("torch_npu", row.torch_npu)
    install("vllm", row.vllm)

    versions.check()


def test_the_error_travels_between_processes():
    error = VersionError(("torch is not installed",), "pip install torch")

    assert str(pickle.loads(pickle.dumps(error))) == str(error)
