# SPDX-License-Identifier: Apache-2.0
"""``pytest --ascend-sim``: run tests of torch_npu programs on simulated NPUs.

pytest imports this module in every run, so it is a package of its own and imports nothing of
``ascend_sim`` before the simulator is asked for.
"""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ascend_sim import Fault, Injection

__all__ = [
    "ascend_sim_counters",
    "ascend_sim_fault",
    "pytest_addoption",
    "pytest_load_initial_conftests",
    "pytest_report_header",
]

_FLAG = "--ascend-sim"
_DESCRIPTION = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag, and the options of the simulated machine for the command line and the ini."""
    group = parser.getgroup("ascend-sim", "simulated Ascend NPUs")
    group.addoption(
        _FLAG, action="store_true", help="run the tests on simulated NPUs, without an NPU"
    )
    group.addoption(
        "--ascend-sim-options",
        metavar="OPTIONS",
        default="",
        help="options of `ascend-sim run`, such as '--devices 2', behind those of the ini",
    )
    parser.addini(
        "ascend_sim_options", f"options of `ascend-sim run`, for runs with {_FLAG}", type="args"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Activate the simulator before a conftest can import torch.

    Raises
    ------
    pytest.UsageError
        If an option is not valid, or the simulator cannot take its place in this process.
    """
    options = early_config.known_args_namespace
    if not options.ascend_sim:
        if options.ascend_sim_options:
            raise pytest.UsageError(f"--ascend-sim-options does nothing without {_FLAG}")
        return
    if "torch" in sys.modules:
        raise pytest.UsageError(
            f"{_FLAG}: torch is already imported, by a plugin that pytest loads earlier (`-p`, "
            "PYTEST_PLUGINS or an installed one). Use `ascend-sim run -- pytest ...` instead"
        )
    import ascend_sim
    from ascend_sim._ledger import LEDGER_VARIABLE
    from ascend_sim._options import parse_options

    if "PYTEST_XDIST_WORKER" in os.environ:
        # A machine for each worker, so that what tests find does not depend on their number.
        os.environ.pop(LEDGER_VARIABLE, None)
    arguments = [
        *early_config.getini("ascend_sim_options"),
        *shlex.split(options.ascend_sim_options),
    ]
    try:
        config = parse_options(arguments, ascend_sim.SimConfig.from_env())
        ascend_sim.activate(config)
    except ascend_sim.SimError as error:
        raise pytest.UsageError(f"{_FLAG}: {error}") from error
    simulated = "ASCEND_SIM_CONFIG" in os.environ  # not with ASCEND_SIM=off
    early_config.stash[_DESCRIPTION] = config.describe() if simulated else "switched off"


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what is simulated."""
    simulated = config.stash.get(_DESCRIPTION, None)
    return None if simulated is None else f"ascend-sim: {simulated}"


@pytest.fixture
def ascend_sim_counters(_simulator: None) -> Callable[[], dict[str, int]]:
    """Count what the simulator does from here on.

    Returns
    -------
    callable
        Returns what was counted so far, by the names of :func:`ascend_sim.counters`. torch_npu
        launches in the background: synchronize before the call.
    """
    import ascend_sim

    before = ascend_sim.counters()
    return lambda: {name: now - before[name] for name, now in ascend_sim.counters().items()}


@pytest.fixture
def ascend_sim_fault(_simulator: None) -> "Iterator[Callable[[str | Fault], Injection]]":
    """Let something go wrong from here to the end of the test.

    Yields
    ------
    callable
        Takes a fault, such as ``"fail:malloc,nth=3"``, and returns the
        :class:`ascend_sim.Injection`, whose ``hits`` say how often it struck. Raises
        :class:`ascend_sim.ConfigError` if the text is no fault.
    """
    import ascend_sim

    with contextlib.ExitStack() as faults:
        yield lambda fault: faults.enter_context(ascend_sim.inject(fault))


@pytest.fixture
def _simulator() -> None:
    if not os.environ.get("ASCEND_SIM_CONFIG"):
        pytest.skip(f"needs the simulator: run pytest with {_FLAG}")
