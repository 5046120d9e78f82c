# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the library under test, one device in its first state, programs in processes.

The library is the one named by ASCEND_SIM_LIBRARY, or else the installed simulator's.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from acl_abi import Acl, NoKernelLauncherError

__all__ = [
    "_runtime",
    "acl",
    "chosen_device",
    "hardware_queues",
    "library",
    "process",
    "program",
    "software_queues",
]


@pytest.fixture(scope="session")
def library() -> Path:
    named = os.environ.get("ASCEND_SIM_LIBRARY")
    if named:
        return Path(named)
    ascend_sim = pytest.importorskip(
        "ascend_sim", reason="no simulator is installed: name a library with --libascendcl"
    )
    path: Path = ascend_sim.library_path("libascendcl.so")
    return path


@pytest.fixture(scope="session")
def _runtime(library: Path) -> Acl:
    runtime = Acl(library)
    assert runtime.aclInit(None) in (0, 100002), runtime.message()
    return runtime


@pytest.fixture
def acl(_runtime: Acl) -> Iterator[Acl]:
    """The runtime with device 0 in its first state; reset afterwards, whatever the test left."""
    _runtime.ok("aclrtSetDevice", 0)
    _runtime.message()
    yield _runtime
    _runtime.open_all()
    _runtime.ok("aclrtResetDeviceForce", 0)


@pytest.fixture(scope="session")
def chosen_device(library: Path) -> Callable[[], None]:
    """Skip, when called, where the number of devices and their limits are what they are."""

    def check() -> None:
        if not Acl(library).is_simulator:
            pytest.skip("the numbers and limits of real devices cannot be chosen")

    return check


@pytest.fixture
def software_queues() -> None:
    """Skip with hardware queues, where the chip's feature is missing."""
    if hardware_queues():
        pytest.skip("needs software queues")


Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(
    library: Path, chosen_device: Callable[[], None], request: pytest.FixtureRequest
) -> Program:
    """Run a program in a process of its own, which must succeed.

    A process has one configuration: that of the tests (ASCEND_SIM_CONFIG) and over it the one given
    here, as it has the environment of the tests and the variables given here. The program finds
    ``acl``, with device 0 set unless ``device`` is false, and can import the module of its test.
    """
    folders = [str(Path(__file__).parent), str(request.path.parent)]
    prelude = f"""
        import sys; sys.path[:0] = {folders!r}
        from pathlib import Path
        from acl_abi import *
        acl = Acl(Path({str(library)!r}))
    """

    def run(
        code: str,
        config: str = "{}",
        *,
        device: bool = True,
        timeout: float = 120,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        if config != "{}":
            chosen_device()
        set_device = 'acl.ok("aclrtSetDevice", 0)\n' if device else ""
        source = textwrap.dedent(prelude) + set_device + textwrap.dedent(code)
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", source],
            env=os.environ | variables | {"ASCEND_SIM_CONFIG": _merged(config)},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if NoKernelLauncherError.__name__ in result.stderr:
            raise NoKernelLauncherError
        assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
        return result

    return run


@pytest.fixture
def process(program: Program) -> Callable[..., str]:
    """Run a program in a process of its own and return what it printed; see `program`."""
    return lambda *arguments, **keywords: program(*arguments, **keywords).stdout


def hardware_queues() -> bool:
    """Whether this run is told that graphs take their queues at capture (sq=hardware)."""
    config = json.loads(os.environ.get("ASCEND_SIM_CONFIG") or "{}")
    return bool(config.get("sq") == "hardware")


def _merged(config: str) -> str:
    """Lay a configuration over that of this process; a text that is not one stays as it is."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError(config)
        return dict(pairs)

    try:
        given = json.loads(config, object_pairs_hook=unique)
        return json.dumps(json.loads(os.environ.get("ASCEND_SIM_CONFIG") or "{}") | given)
    except (ValueError, TypeError):
        return config
