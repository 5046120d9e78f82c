# SPDX-License-Identifier: Apache-2.0
"""Make the packages importable for the API reference: no torch, no vLLM, no compiled library."""

import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Union

from sphinx.ext.autodoc.mock import _MockObject

__all__ = ["MOCKED", "install"]

ROOT = Path(__file__).parents[1]

MOCKED = [
    *("prometheus_client", "safetensors", "torch", "torch_npu", "vllm"),
    "ascend_vllm_plugin.ops._rotary",  # it makes classes from vLLM's at import
]
"""For `autodoc_mock_imports`."""


def install() -> None:
    """Put the sources on the path, and a stand-in in the place of what they ask at import."""
    sys.path[:0] = [str(ROOT), *map(str, ROOT.glob("packages/*/src"))]
    from support_matrix import DEFAULT

    # Annotations such as `torch.Tensor | None`.
    _MockObject.__or__ = lambda mock, other: Union[mock, other]  # noqa: UP007

    # The plugin checks which versions are installed.
    versions = {name: getattr(DEFAULT, name) for name in ("torch", "torch_npu", "vllm")}
    installed = metadata.version
    metadata.version = lambda name: versions.get(name) or installed(name)

    # ascend_ops loads its library, and compares the torch that it was built for.
    build = ModuleType("ascend_ops._build")
    build.TORCH_VERSION = "torch.__version__"
    build.__file__ = __file__
    sys.modules[build.__name__] = build
