# SPDX-License-Identifier: Apache-2.0
"""Loading of a checkpoint, with errors that name the tensor and its file."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ascend_core import OptionError
from safetensors import SafetensorError, safe_open
from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

__all__ = ["name_unfit_weights"]


def name_unfit_weights() -> None:
    """Let errors in loading be about ``--model``, with the tensor and its file. Idempotent.

    Reason: most layers say what `narrow` says, and leave what is missing as it is.
    Goes when: they name the tensor.
    """
    load, read = DefaultModelLoader.load_weights, DefaultModelLoader.get_all_weights
    if hasattr(read, "__wrapped__"):
        return
    name, shape = "", ()  # of the tensor in hand

    def checked(self: DefaultModelLoader, model: Any, model_config: Any) -> None:
        nonlocal name
        folder = Path(model_config.model)
        files = _files_by_tensor(folder)
        name = ""
        try:
            load(self, model, model_config)
        except Exception as error:
            if not name:
                raise
            fault = f"{name!r} of shape {shape} does not fit the model ({error!r})"
            raise _unfit(folder / files.get(name, ""), fault) from error

    @functools.wraps(read)
    def watched(*args: Any) -> Iterator[Any]:
        nonlocal name, shape
        for name, tensor in read(*args):
            shape = tuple(tensor.shape)
            yield name, tensor
            name = ""

    DefaultModelLoader.load_weights = checked
    DefaultModelLoader.get_all_weights = watched


def _files_by_tensor(folder: Path) -> dict[str, str]:
    """Read the index, and check that the files that are there have what it places in them."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return {}
    files: dict[str, str] = json.loads(index.read_text())["weight_map"]
    for path in filter(Path.is_file, {folder / file for file in files.values()}):
        try:
            with safe_open(path, "numpy") as content:
                present = set(content.keys())
        except SafetensorError as error:
            raise _unfit(path, f"it cannot be read ({error})") from error
        for name, file in files.items():
            if folder / file == path and name not in present:
                raise _unfit(path, f"it lacks {name!r}, which {index.name} has")
    return files


def _unfit(path: Path, fault: str) -> OptionError:
    return OptionError("--model", str(path), fault, "all files of one revision")
