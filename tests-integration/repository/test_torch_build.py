# SPDX-License-Identifier: Apache-2.0
"""Where the two commands get torch: the real pip, on folders and indexes of tiny wheels."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import torch_build

FOR_CUDA, FOR_CPU = "2.13.0", "2.13.0+cpu"
TORCH = f"torch=={FOR_CPU}"


def write_wheel(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"torch-{version}-py3-none-any.whl"
    info = f"torch-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def folder_of(tmp_path: Path, *versions: str) -> str:
    folder = tmp_path / "wheels" / "-".join(versions)
    for version in versions:
        write_wheel(folder, version)
    return str(folder)


def index_of(tmp_path: Path, *versions: str) -> str:
    """URL of a package index (PEP 503) that has these versions of torch."""
    index = tmp_path / "index" / "-".join(versions)
    links = [write_wheel(index / "torch", version).name for version in versions]
    page = "".join(f'<a href="{link.replace("+", "%2B")}">{link}</a>' for link in links)
    (index / "torch" / "index.html").write_text(page)
    return index.as_uri()


@pytest.fixture(autouse=True)
def public_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip that is configured for an index with torch for CUDA alone, as PyPI is."""
    for name in (
        "PIP_FIND_LINKS",
        "PIP_EXTRA_INDEX_URL",
        "PIP_NO_INDEX",
        torch_build.INDEX_VARIABLE,
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", index_of(tmp_path, FOR_CUDA))


def test_torch_for_cuda_is_not_found_as_the_one_for_the_cpu() -> None:
    assert torch_build.is_found(sys.executable, f"torch=={FOR_CUDA}")
    assert not torch_build.is_found(sys.executable, TORCH)


@pytest.mark.parametrize(
    ("variable", "source"),
    [
        ("PIP_FIND_LINKS", folder_of),
        ("PIP_EXTRA_INDEX_URL", index_of),
        ("PIP_INDEX_URL", index_of),
    ],
)
def test_pip_as_configured_finds_the_build_for_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, source: Callable[..., str]
) -> None:
    monkeypatch.setenv(variable, source(tmp_path, FOR_CUDA, FOR_CPU))
    assert torch_build.is_found(sys.executable, TORCH)


def test_pytorchs_own_index_is_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch_build.fallback_index() == "https://download.pytorch.org/whl/cpu"
    monkeypatch.setenv("TORCH_CPU_INDEX", "https://mirror.example/cpu")
    assert torch_build.fallback_index() == "https://mirror.example/cpu"


@pytest.mark.parametrize("source", [folder_of, index_of])
def test_torch_is_installed_from_the_fallback_and_stays(
    tmp_path: Path, source: Callable[..., str]
) -> None:
    site = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(site)], check=True)
    pip = (sys.executable, "-m", "pip", "--python", f"{site}/bin/python")
    options = torch_build.index_options(source(tmp_path, FOR_CPU))

    subprocess.run([*pip, "install", "--quiet", "--no-deps", *options, TORCH], check=True)
    subprocess.run([*pip, "install", "--quiet", TORCH], check=True)  # from the index with CUDA's

    frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    assert f"torch=={FOR_CPU}" in frozen


def test_without_the_fallback_the_advice_names_what_to_set(tmp_path: Path) -> None:
    index = index_of(tmp_path, FOR_CUDA)
    install = (sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed")
    answer = subprocess.run(
        [*install, *torch_build.index_options(index), TORCH], capture_output=True
    )
    assert answer.returncode != 0

    advice = torch_build.advice(TORCH, index)
    for told in (TORCH, index, "TORCH_CPU_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        assert told in advice
