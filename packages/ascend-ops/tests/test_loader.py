# SPDX-License-Identifier: Apache-2.0
"""The compiled library needs torch alone; one that is absent or does not fit stops the import."""

import os
import subprocess
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
    assert "https://download.pytorch.org/whl/cpu 'torch==2.9.*'" in str(caught.value)


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


def test_needs_neither_cann_nor_torch_npu():
    program = """
import torch, ascend_ops
out = torch.empty(2, dtype=torch.int64)
ascend_ops.slot_mapping(torch.tensor([3]), torch.tensor([0, 1]), torch.tensor([[2]]), 16, out)
loaded = open("/proc/self/maps").read()
print(out.tolist(), "libascendcl" in loaded, "libtorch_npu" in loaded)
"""
    environment = {name: value for name, value in os.environ.items() if "ASCEND" not in name}
    environment.pop("LD_LIBRARY_PATH", None)
    environment["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"

    shown = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)

    assert shown.strip() == "[35, -1] False False"
