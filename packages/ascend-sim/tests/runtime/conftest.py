# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the conformance tests.

The library is the one named by ASCEND_SIM_LIBRARY, or else the installed simulator's.
"""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from acl_abi import Acl


@pytest.fixture(scope="session")
def library() -> Path:
    named = os.environ.get("ASCEND_SIM_LIBRARY")
    if named:
        return Path(named)
    import ascend_sim

    return ascend_sim.library_path("libascendcl.so")


@pytest.fixture(scope="session")
def _runtime(library: Path) -> Acl:
    runtime = Acl(library)
    assert runtime.aclInit(None) in (0, 100002)
    return runtime


@pytest.fixture
def acl(_runtime: Acl) -> Iterator[Acl]:
    """The runtime with device 0 in its first state; reset afterwards, whatever the test left."""
    _runtime.ok("aclrtSetDevice", 0)
    _runtime.message()
    yield _runtime
    _runtime.open_all()
    _runtime.ok("aclrtResetDeviceForce", 0)


@pytest.fixture
def process(library: Path) -> Callable[..., str]:
    """Run a program in a process of its own and return what it printed.

    A process has one configuration, given here as the text of ASCEND_SIM_CONFIG.
    The program finds ``acl``, with device 0 set unless ``device`` is false.
    """
    prelude = f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from acl_abi import *
        acl = Acl(Path({str(library)!r}))
    """

    def run(code: str, config: str = "{}", *, device: bool = True) -> str:
        set_device = 'acl.ok("aclrtSetDevice", 0)\n' if device else ""
        result = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                textwrap.dedent(prelude) + set_device + textwrap.dedent(code),
            ],
            env=os.environ | {"ASCEND_SIM_CONFIG": config},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run
