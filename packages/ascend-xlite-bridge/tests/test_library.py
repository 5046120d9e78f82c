# SPDX-License-Identifier: Apache-2.0
"""A library that does not fit is refused before it is loaded, with what to do about it."""

import pickle
import platform
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from types import SimpleNamespace

import pytest
import torch
from ascend_core import _device

from ascend_xlite_bridge import XliteUnavailableError, _build, _library, _native, check_library
from ascend_xlite_bridge._builds import BUILDS, CHIPS

INSTALL = "pip install --force-reinstall --no-deps xlite==0.2.0rc4"


@pytest.fixture(autouse=True)
def a_python_that_has_a_wheel(monkeypatch):
    monkeypatch.setattr(_library, "sys", SimpleNamespace(platform="linux", version_info=(3, 12)))


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    """Nothing that is refused here is imported."""
    loaded = set(sys.modules)
    yield
    assert not {name for name in set(sys.modules) - loaded if name.startswith("xlite.")}


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Pretend that a version of xlite is installed, whose extension has some content."""

    def install(version="0.2.0rc4", suffix=EXTENSION_SUFFIXES[0], content=b"not xlite"):
        metadata = tmp_path / f"xlite-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: xlite\nVersion: {version}\n")
        (tmp_path / "xlite").mkdir()
        (tmp_path / "xlite" / f"_C{suffix}").write_bytes(content)
        monkeypatch.syspath_prepend(tmp_path)

    return install


def refusal():
    with pytest.raises(XliteUnavailableError) as caught:
        check_library()
    assert str(caught.value).endswith("or set xlite_graph_config.enabled to false.")
    return str(caught.value)


def test_it_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    message = refusal()

    assert "it is not installed" in message
    assert "pip install --no-deps xlite==0.2.0rc4" in message


@pytest.mark.parametrize("version", ["0.1.0rc12", "0.2.0rc5"])
def test_a_version_that_is_too_old_or_too_new_to_be_known(installed, version):
    installed(version)

    message = refusal()

    assert f"version {version} is installed" in message
    assert INSTALL in message


def test_a_wheel_of_another_python_or_processor(installed):
    installed(suffix=".cpython-39-riscv64-linux-gnu.so")

    message = refusal()

    assert "for another Python or processor: it has _C.cpython-39-riscv64-linux-gnu.so" in message
    assert INSTALL in message


def test_a_build_that_is_not_on_the_index(installed):
    installed()

    message = refusal()

    assert "none of the builds on the package index" in message
    assert INSTALL in message


def test_a_processor_without_a_wheel(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")

    assert (
        "this machine is linux on riscv64, and there are wheels of it for Linux on aarch64 and"
        in (refusal())
    )


def test_a_python_without_a_wheel(monkeypatch):
    monkeypatch.setattr(_library, "sys", SimpleNamespace(platform="linux", version_info=(3, 14)))

    message = refusal()

    assert "this is Python 3.14, and there are wheels of it for 3.11 and 3.12" in message
    assert "uv venv --python 3.12" in message


@pytest.fixture
def known(monkeypatch, installed):
    """Pretend that what is installed is a known build."""
    installed()
    monkeypatch.setattr(_library, "_build_of", lambda extension: BUILDS[0])


@pytest.mark.parametrize("chip", ["Ascend310P3", "Ascend910PremiumA", "Ascend950PR_9599", ""])
def test_a_chip_for_which_the_engine_would_compute_nothing(monkeypatch, known, chip):
    monkeypatch.setattr(_device, "soc_name", lambda: chip)

    message = refusal()

    assert f"the chip is {chip or 'unknown'}" in message
    assert "Ascend910B3" in message


@pytest.mark.parametrize("chip", CHIPS)
def test_a_chip_with_kernels_passes(monkeypatch, known, chip):
    monkeypatch.setattr(_device, "soc_name", lambda: chip)

    library = check_library()

    assert library.version == "0.2.0rc4"
    assert library.is_adapted  # torch has moved the sizes since 2.10


@pytest.fixture
def fresh_native():
    _native._library.cache_clear()
    yield
    _native._library.cache_clear()


def test_built_for_another_torch(monkeypatch, known, fresh_native):
    monkeypatch.setattr(_build, "TORCH_VERSION", "2.9.1+cpu")

    message = refusal()

    assert "was built for torch 2.9.1+cpu" in message
    assert f"torch {torch.__version__} is installed" in message
    assert "pip install 'torch==2.9.*'" in message


def test_a_source_tree_without_the_compiled_half(monkeypatch, known, fresh_native):
    monkeypatch.setitem(sys.modules, "ascend_xlite_bridge._build", None)
    monkeypatch.delattr("ascend_xlite_bridge._build")

    assert "has no compiled library" in refusal()


def test_a_compiled_half_that_does_not_load(monkeypatch, known, fresh_native, tmp_path):
    (tmp_path / "libascend_xlite_bridge.so").write_bytes(b"not a library")
    monkeypatch.setattr(_build, "__file__", str(tmp_path / "_build.py"))

    assert "does not load" in refusal()


def test_the_error_travels_between_processes():
    error = XliteUnavailableError("a reason", "A remedy")

    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_each_file_on_the_index_is_in_the_table_once():
    assert len({build.sha256 for build in BUILDS}) == len(BUILDS) == 4
    assert {build.machine for build in BUILDS} == {"x86_64", "aarch64"}
