# SPDX-License-Identifier: Apache-2.0
"""A wheel that must not be released is recognized."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ascend_sim import library_path

from wheel_checks import EXPECTED, problems_of

E_MACHINE = 18  # offset in the header of an ELF file
AARCH64 = 183


@pytest.fixture(scope="module")
def library() -> bytes:
    return library_path("libc_sec.so").read_bytes()


@pytest.fixture
def wheel(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, **files: bytes) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as archive:
            for file, content in files.items():
                archive.writestr(f"folder/{file}.so", content)
        return path

    return make


def test_a_wheel_with_its_own_library_has_no_problem(wheel, library) -> None:
    made = wheel("ascend_sim-0.1.0-py3-none-linux_x86_64.whl", libc_sec=library)

    assert list(problems_of(made)) == []


def test_a_wheel_that_is_too_large_is_reported(wheel) -> None:
    too_many = b"x" * (EXPECTED["ascend_core"].most_bytes + 1)

    made = wheel("ascend_core-0.1.0-py3-none-any.whl", data=too_many)

    (problem,) = problems_of(made)
    assert "more than" in problem


def test_a_binary_in_a_wheel_for_any_platform_is_reported(wheel, library) -> None:
    made = wheel("ascend_sim-0.1.0-py3-none-any.whl", libc_sec=library)

    assert list(problems_of(made)) == ["its platform is 'any', and it has 1 binaries"]


def test_a_wheel_for_a_platform_without_a_binary_is_reported(wheel) -> None:
    made = wheel("ascend_ops-0.1.0-py3-none-linux_x86_64.whl", text=b"INPUT(-lmspti)")

    assert list(problems_of(made)) == ["its platform is 'linux_x86_64', and it has 0 binaries"]


def test_a_library_of_another_project_is_reported(wheel, library) -> None:
    made = wheel("ascend_ops-0.1.0-py3-none-linux_x86_64.whl", libtorch=library)

    assert list(problems_of(made)) == ["folder/libtorch.so is not a library of this package"]


def test_a_binary_for_another_machine_is_reported(wheel, library) -> None:
    other = bytearray(library)
    other[E_MACHINE] = AARCH64

    made = wheel("ascend_sim-0.1.0-py3-none-linux_x86_64.whl", libc_sec=bytes(other))

    (problem,) = problems_of(made)
    assert "is for EM_AARCH64" in problem


def test_a_glibc_that_is_newer_than_the_tag_promises_is_reported(wheel) -> None:
    library = library_path("libascendcl.so").read_bytes()

    made = wheel("ascend_sim-0.1.0-py3-none-manylinux_2_17_x86_64.whl", libascendcl=library)

    (problem,) = problems_of(made)
    assert "newer than 'manylinux_2_17_x86_64' promises" in problem
