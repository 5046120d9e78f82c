# SPDX-License-Identifier: Apache-2.0
"""The kernel libraries of xlite's wheel, as they are: what Ascend C's own compiler makes."""

import importlib.util
from ctypes import CDLL
from pathlib import Path
from typing import Any

import pytest

from ascend_sim._coverage import functions
from ascend_sim._elf import dynamic_symbols
from ascend_sim._kernel_coverage import kernels

PARTS = ("common", "bf16", "f16")


@pytest.fixture
def libraries() -> dict[str, Path]:
    found = importlib.util.find_spec("xlite")
    # Without an origin it is no package but a folder of that name, as there is beside this file.
    if found is None or found.origin is None:
        pytest.skip("xlite is not installed")
    folder = Path(found.origin).parent / "lib"
    return {part: folder / f"libxlite_kernels_{part}_npu.so" for part in PARTS}


def test_every_kernel_is_found_with_the_size_of_its_arguments(libraries: dict[str, Path]) -> None:
    found = {part: kernels(path) for part, path in libraries.items()}
    assert {part: len(each) for part, each in found.items()} == {
        "common": 55,
        "bf16": 44,
        "f16": 28,
    }
    assert all(k.block_bytes is not None for each in found.values() for k in each)


def test_what_they_link_against_is_there(libraries: dict[str, Path]) -> None:
    provided = {f.name for f in functions() if f.status != "absent"}
    process = CDLL("libstdc++.so.6")  # and what it depends on
    needed = {
        symbol.name
        for path in libraries.values()
        for symbol in dynamic_symbols(path)
        if not symbol.defined and not symbol.weak and not hasattr(process, symbol.name)
    }
    own = ("aclrtlaunch_", "_ZNS", "_ZNKS", "_ZS", "_ZT")  # the old C++ strings
    assert {name for name in needed - provided if not name.startswith(own)} == set()


def test_they_register_and_launch_unmodified(libraries: dict[str, Path], program: Any) -> None:
    """Given a body for other arguments than the kernel's, whose size the stub knows as well."""
    result = program(
        f"""
        import ascend_sim
        from ctypes import CDLL, c_uint32, c_void_p
        ascend_sim.activate()
        for path in {[str(path) for path in libraries.values()]!r}:
            xlite = CDLL(path)
        ascend_sim.kernel("transpose_1_2_float16_t", args=[c_void_p])(print)
        assert xlite.aclrtlaunch_transpose_1_2_float16_t(c_uint32(1), None) == 0
        print(acl.aclrtSynchronizeStream(None), acl.message())
        """
    )
    assert result.stdout.startswith("507015")
    assert "the argument block of transpose_1_2_float16_t has" in result.stdout
    assert result.stderr == ""
