# SPDX-License-Identifier: Apache-2.0
"""torchvision, which transformers prepares images with, beside torch's build for the CPU.

PyPI's torchvision for x86-64 is built for CUDA. Its library does not load without CUDA, which it
tolerates; but then it describes two operators of that library, and its import fails. Here they are
declared first. (Nothing calls them.) It is installed in a folder of its own, since among the other
packages it would stop every start of vLLM.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import torch

_REAL = Path(sys.prefix, "opt", "torchvision", "torchvision")

if "+cu" in (_REAL / "version.py").read_text() and not torch.version.cuda:
    for _name in ("nms", "qnms"):
        torch.library.define(
            f"torchvision::{_name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
_spec = spec_from_file_location(__name__, _REAL / "__init__.py")
assert _spec is not None
assert _spec.loader is not None
sys.modules[__name__] = _module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
