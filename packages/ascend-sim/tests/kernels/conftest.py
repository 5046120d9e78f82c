# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the runtime, and a host library with kernels that the machine's compiler makes."""

import shutil
import subprocess
import textwrap
from ctypes import (
    CDLL,
    c_bool,
    c_double,
    c_float,
    c_int8,
    c_int64,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any

import pytest
from acl_abi import Acl
from acl_fixtures import _runtime, acl, chosen_device, library, process, program
from support.device_binary import DeviceKernel, container, device_elf
from support.programs import clean_environ, cli

__all__ = [
    "_runtime",
    "acl",
    "chosen_device",
    "clean_environ",
    "cli",
    "host_library",
    "library",
    "process",
    "program",
    "run",
    "runtime",
    "stub",
]

KERNELS = (
    DeviceKernel("add_vectors_0", 40),
    DeviceKernel("every_type_7_mix_aic", 64),
    DeviceKernel("every_type_7_mix_aiv", 64),
    DeviceKernel("bodiless_1", 24),
    DeviceKernel("shrunk_2", 40),
    DeviceKernel("cast_float_bfloat16_t_3", 32),
    DeviceKernel("a_template_4", weak=True),
)


LOAD = """
import ctypes, ascend_sim
from ctypes import c_bool, c_float, c_uint32, c_uint64, c_void_p, POINTER
stub = ctypes.CDLL({host_library!r})
stub.launch_raw.argtypes = [c_bool, c_uint64, c_void_p, ctypes.c_char_p, c_uint32]
stub.launch_add_vectors.argtypes = [c_bool, *[c_void_p] * 4, c_uint32]
"""


@pytest.fixture(scope="session")
def runtime(_runtime: Acl) -> Acl:
    """The runtime without a device, for calls that leave nothing behind."""
    return _runtime


@pytest.fixture(scope="session")
def host_library(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host library that registers `KERNELS` when it is loaded."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    folder = tmp_path_factory.mktemp("host_stub")
    image, built = folder / "image.bin", folder / "libhost_stub.so"
    image.write_bytes(container(device_elf(*KERNELS)))
    source = Path(__file__).with_name("host_stub.c")
    options = ["-shared", "-fPIC", "-Wall", "-Werror", f'-DIMAGE="{image}"']
    subprocess.run([compiler, *options, str(source), "-o", str(built), str(library)], check=True)
    return built


@pytest.fixture(scope="session")
def stub(host_library: Path) -> CDLL:
    """The loaded host library."""
    loaded = CDLL(str(host_library))
    loaded.launch_add_vectors.argtypes = [c_bool, *[c_void_p] * 4, c_uint32]
    scalars = [c_bool, c_uint16, c_int8, c_double, c_float, c_int64]
    loaded.launch_every_type.argtypes = [c_bool, c_void_p, c_void_p, *scalars]
    loaded.launch_raw.argtypes = [c_bool, c_uint64, c_void_p, c_void_p, c_uint32]
    return loaded


@pytest.fixture
def run(program: Any, host_library: Path) -> Any:
    """Run a program that has the host library as ``stub``."""
    prelude = LOAD.format(host_library=str(host_library))
    return lambda code, *arguments: program(prelude + textwrap.dedent(code), *arguments)
