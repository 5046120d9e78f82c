# SPDX-License-Identifier: Apache-2.0
"""A compiled library that is absent or does not fit stops the import and says what to do."""

import sys
from pathlib import Path

import pytest
import torch

from ascend_ops import ExtensionLoadError, _build, _loader


def test_built_for_another_torch(monkeypatch):
    monkeypatch.setattr(_build, "TORCH_VERSION", "2.9.1+cpu")

    with pytest.raises(ExtensionLoadError) as caught:
        _loader.load_extension()

    assert "was built for torch 2.9.1+cpu" in str(caught.value)
    assert f"but torch {torch.__version__} is installed" in str(caught.value)
    assert "pip install 'torch==2.9.*'" in str(caught.value)


def test_library_that_does_not_load(monkeypatch, tmp_path: Path):
    (tmp_path / "libascend_ops.so").write_bytes(b"not a library")
    monkeypatch.setattr(_build, "__file__", str(tmp_path / "_build.py"))

    with pytest.raises(ExtensionLoadError, match=r"does not load.*pip install --force-reinstall"):
        _loader.load_extension()


def test_source_tree_without_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "ascend_ops._build", None)
    monkeypatch.delattr("ascend_ops._build")

    with pytest.raises(ExtensionLoadError, match="has no compiled library"):
        _loader.load_extension()
