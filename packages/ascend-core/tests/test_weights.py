# SPDX-License-Identifier: Apache-2.0
"""An error while a checkpoint is loaded names the tensor in hand, and its file."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ascend_core import WeightError, WeightFileError, WeightWatch

WEIGHTS = [("first", SimpleNamespace(shape=[2, 3])), ("second", SimpleNamespace(shape=[4]))]


def load(checkpoint: Path, *, until: str = "", mistake: Exception | None = None) -> list[str]:
    """Load, and fail at a tensor."""
    watch, loaded = WeightWatch(), []
    with watch.naming(str(checkpoint)):
        for name, _ in watch.over(WEIGHTS):
            if name == until and mistake:
                raise mistake
            loaded.append(name)
        if mistake and not until:
            raise mistake
    return loaded


def test_all_weights_come_in_their_order(tmp_path: Path) -> None:
    assert load(tmp_path) == ["first", "second"]


def test_the_index_tells_the_file(tmp_path: Path) -> None:
    index = {"weight_map": {"first": "a.safetensors", "second": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(WeightError) as caught:
        load(tmp_path, until="second", mistake=RuntimeError("too long"))

    assert (caught.value.name, caught.value.shape) == ("second", (4,))
    assert caught.value.where == str(tmp_path / "b.safetensors")
    assert "RuntimeError: too long" in str(caught.value)


def write(file: Path, *names: str) -> None:
    """Write a file of safetensors, as far as its header."""
    header = json.dumps({name: {} for name in names}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header)


def test_a_file_that_lacks_tensors_of_the_index_is_named(tmp_path: Path) -> None:
    index = {"weight_map": {"first": "a.safetensors", "second": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    write(tmp_path / "a.safetensors", "first")
    write(tmp_path / "b.safetensors", "first")

    with pytest.raises(WeightFileError, match=r"b\.safetensors lacks the tensor 'second', see"):
        load(tmp_path)
    write(tmp_path / "b.safetensors", "second", "another")
    assert load(tmp_path) == ["first", "second"]


def test_without_an_index_it_is_the_only_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(WeightError, match=r"'first' of shape \(2, 3\) in .*model.safetensors "):
        load(tmp_path, until="first", mistake=AssertionError())


def test_of_a_checkpoint_that_is_not_here_its_name_is_told() -> None:
    with pytest.raises(WeightError, match=r"in maker/model does not fit .* \(KeyError: 'first'\)"):
        load(Path("maker/model"), until="first", mistake=KeyError("first"))


def test_an_error_behind_the_last_tensor_is_not_blamed_on_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^not initialized$"):
        load(tmp_path, mistake=ValueError("not initialized"))


def test_an_error_in_reading_is_not_blamed_on_the_tensor_before(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, SimpleNamespace]]:
        yield from WEIGHTS
        raise OSError("the file ends")

    watch = WeightWatch()
    with pytest.raises(OSError, match=r"^the file ends$"), watch.naming(str(tmp_path)):
        list(watch.over(broken()))
