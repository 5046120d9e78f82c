# SPDX-License-Identifier: Apache-2.0
"""`ascend-sim coverage --kernels` tells which kernels of a library have a body."""

from pathlib import Path
from typing import Any

import pytest
from support.device_binary import DeviceKernel, device_elf


def test_a_host_library_is_listed(cli: Any, host_library: Path) -> None:
    result = cli("coverage", "--kernels", host_library)
    assert result.returncode == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["kernel", "key", "bytes", "body"],
        ["add_vectors", "0", "40", "no"],
        ["bodiless", "1", "24", "no"],
        ["cast_float_bfloat16_t", "3", "32", "yes"],
        ["every_type", "7", "64", "no"],
        ["shrunk", "2", "40", "no"],
        ["5", "kernels,", "1", "with", "a", "body"],
    ]


def test_a_device_binary_is_listed_with_bodies_for_other_arguments(
    cli: Any, tmp_path: Path
) -> None:
    path = tmp_path / "kernels.o"
    path.write_bytes(device_elf(DeviceKernel("cast_float_bfloat16_t_0", 48), DeviceKernel("free")))
    result = cli("coverage", "--kernels", path)
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["cast_float_bfloat16_t", "0", "48", "for", "32", "bytes"]
    assert lines[2].split() == ["free", "-", "-", "no"]
    assert lines[3] == "2 kernels, 0 with a body"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no library", "not a 64-bit little-endian ELF file"),
        (device_elf(), "was not built with Ascend C"),
        (device_elf(DeviceKernel("a_0"))[:-1], "refers to"),
    ],
)
def test_a_file_without_kernels_is_an_error(
    cli: Any, tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "file.so"
    path.write_bytes(content)
    result = cli("coverage", "--kernels", path)
    assert result.returncode == 1
    assert why in result.stderr
    assert "Traceback" not in result.stderr


def test_kernels_go_with_no_other_option(cli: Any, host_library: Path) -> None:
    result = cli("coverage", "--kernels", host_library, "--list")
    assert result.returncode == 2
    assert "--kernels goes with no other option" in result.stderr
