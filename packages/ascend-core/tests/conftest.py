# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from ascend_core import AclLibraryNotFoundError, Device, acl

try:
    import ascend_sim
except ModuleNotFoundError:
    ACTIVATE = ""
else:
    ascend_sim.activate()
    ACTIVATE = "import ascend_sim; ascend_sim.activate()\n"


@pytest.fixture(scope="session")
def runtime() -> None:
    """Skip where no libascendcl is to be had: neither CANN nor ascend-sim is installed."""
    try:
        acl.library()
    except AclLibraryNotFoundError as error:
        pytest.skip(error.reason)


@pytest.fixture
def device(runtime) -> Device:
    """The first device, current in this thread for the length of the test."""
    first = Device(0)
    with first.active():
        yield first


@pytest.fixture
def run_python(runtime) -> Callable[[str], str]:
    """Run code in a process of its own, where no test has opened a context, and get its output."""

    def run(code: str) -> str:
        command = [sys.executable, "-c", ACTIVATE + code]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    return run


@pytest.fixture
def run_simulated() -> Callable[..., str]:
    """Run code on a machine of its own, as ``ascend-sim run`` makes it, and get its output."""
    program = Path(sys.executable).with_name("ascend-sim")
    if not program.exists():
        pytest.skip("ascend_sim is not installed, so there is no other machine at hand")

    def run(code: str, *options: str, **environment: str) -> str:
        command = [program, "run", *options, "--", sys.executable, "-c", code]
        variables = {**os.environ, **environment}
        result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


@pytest.fixture
def install(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    """Hide what is installed, and install distributions that consist of metadata only."""
    # importlib.metadata imports more of the standard library when it is first asked (Python 3.13).
    monkeypatch.setattr(sys, "path", [str(tmp_path), sysconfig.get_path("stdlib")])

    def add(name: str, version: str) -> None:
        metadata = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    return add


@pytest.fixture
def make_build_for_cuda(tmp_path) -> Callable[[], None]:
    """Give the torch in the folder of this test the library by which a build for CUDA is known."""

    def make() -> None:
        library = tmp_path / "torch" / "lib" / "libc10_cuda.so"
        library.parent.mkdir(parents=True)
        library.touch()
        (tmp_path / "torch" / "__init__.py").touch()

    return make
