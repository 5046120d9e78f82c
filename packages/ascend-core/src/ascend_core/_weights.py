# SPDX-License-Identifier: Apache-2.0
"""The tensor of a checkpoint that is being loaded, so that an error can name it and its file."""

import json
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from ascend_core.errors import AscendError

__all__ = ["WeightError", "WeightFileError", "WeightWatch"]

_INDEX = "model.safetensors.index.json"
_AGAIN = "Get config.json and all files of weights again, from one revision of the model"
_LENGTH = struct.Struct("<Q")  # of the header, with which a file of safetensors begins


class _Tensor(Protocol):
    @property
    def shape(self) -> Iterable[int]: ...


T = TypeVar("T", bound=_Tensor)


class WeightError(AscendError, ValueError):
    """A tensor of a checkpoint does not fit the model that its configuration describes.

    Parameters
    ----------
    name
        Of the tensor, in the checkpoint.
    shape
        Its shape there.
    where
        The file, or the checkpoint if the file is not known.
    reason
        What the model's loader said.
    """

    def __init__(self, name: str, shape: tuple[int, ...], where: str, reason: str) -> None:
        super().__init__(name, shape, where, reason)
        self.name = name
        self.shape = shape
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the tensor {self.name!r} of shape {self.shape} in {self.where} does not fit the "
            f"model that config.json describes ({self.reason}). {_AGAIN}."
        )


class WeightFileError(AscendError, ValueError):
    """A file of weights lacks tensors that the checkpoint's index places in it.

    Parameters
    ----------
    file
        The file.
    names
        Of the tensors.
    """

    def __init__(self, file: str, names: tuple[str, ...]) -> None:
        super().__init__(file, names)
        self.file = file
        self.names = names

    def __str__(self) -> str:
        more = f" and {len(self.names) - 1} more" if len(self.names) > 1 else ""
        return f"{self.file} lacks the tensor {self.names[0]!r}{more}, see {_INDEX}. {_AGAIN}."


class WeightWatch:
    """Knows which tensor a loader has in hand."""

    def __init__(self) -> None:
        self._in_hand: list[tuple[str, tuple[int, ...]]] = []

    def over(self, weights: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
        """Yield names and tensors of a checkpoint, and note the one that is out.

        Parameters
        ----------
        weights
            What is loaded. Errors in reading it are not the fault of a tensor.
        """
        for name, tensor in weights:
            self._in_hand = [(name, tuple(tensor.shape))]
            yield name, tensor
            self._in_hand = []

    @contextmanager
    def naming(self, checkpoint: str) -> Iterator[None]:
        """Load in this block: an error is told with the tensor in hand.

        Loaders may leave a tensor that is missing as it is, so the index is checked first.

        Parameters
        ----------
        checkpoint
            Folder of the checkpoint, or another name of it.

        Raises
        ------
        WeightFileError
            If a file lacks a tensor.
        WeightError
            If the block fails while a tensor is in hand.
        """
        _check_files(Path(checkpoint))
        self._in_hand = []
        try:
            yield
        except Exception as error:
            for name, shape in self._in_hand:
                reason = f"{type(error).__name__}: {error}".removesuffix(": ")
                raise WeightError(name, shape, _file_of(name, checkpoint), reason) from error
            raise


def _file_of(name: str, checkpoint: str) -> str:
    """File of a tensor: by the index, or the only one; the checkpoint if neither tells."""
    folder = Path(checkpoint)
    if files_by_name := _index(folder):
        file = files_by_name.get(name)
        return str(folder / file) if file else checkpoint
    files = list(folder.glob("*.safetensors"))
    return str(files[0]) if len(files) == 1 else checkpoint


def _check_files(folder: Path) -> None:
    """Check that the files that are there have the tensors that the index places in them."""
    names_by_file: dict[str, list[str]] = {}
    for name, file in _index(folder).items():
        names_by_file.setdefault(file, []).append(name)
    for file, names in names_by_file.items():
        if (folder / file).is_file():
            present = _names_in(folder / file)
            if missing := tuple(name for name in names if name not in present):
                raise WeightFileError(str(folder / file), missing)


def _index(folder: Path) -> dict[str, str]:
    """File of each tensor; empty without an index."""
    index = folder / _INDEX
    files: dict[str, str] = json.loads(index.read_text())["weight_map"] if index.is_file() else {}
    return files


def _names_in(file: Path) -> set[str]:
    """Names of the tensors in a file, from its header."""
    with file.open("rb") as stream:
        (length,) = _LENGTH.unpack(stream.read(_LENGTH.size))
        return set(json.loads(stream.read(length)))
