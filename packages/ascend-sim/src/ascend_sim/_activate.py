# SPDX-License-Identifier: Apache-2.0
"""Putting the simulator in CANN's place, in this process and in its children."""

import atexit
import ctypes
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from ascend_sim._config import SimConfig
from ascend_sim._errors import ActivationError, CannConflictError
from ascend_sim._ledger import inherited_ledger, make_ledger
from ascend_sim._library import LIBRARIES, is_off, library_path, python_path, toolkit_path
from ascend_sim._partition import ROOT_VARIABLE, write_partition

__all__ = ["activate", "child_environment"]

_logger = logging.getLogger(__name__)

_PIP_INSTALL = (
    f"{sys.executable} -m pip install --extra-index-url https://download.pytorch.org/whl/cpu"
)
_TOOLKIT_VARIABLES = ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "ASCEND_OPP_PATH")

_active: SimConfig | None = None


def child_environment(config: SimConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make a child process with `environ` run on the simulator.

    Raises
    ------
    ActivationError
        If a child could not load torch_npu, because torch is built for CUDA.
    CannConflictError
        If `environ` points to another CANN.
    """
    _refuse_torch_for_cuda()
    _refuse_other_cann(environ)
    toolkit = toolkit_path()
    libraries = str(library_path("libascendcl.so").parent)
    modules = str(python_path())
    return {
        **config.to_env(),
        "LD_LIBRARY_PATH": ":".join([libraries, *_entries(environ, "LD_LIBRARY_PATH", libraries)]),
        # Last, as it must not hide a module of the program's own.
        "PYTHONPATH": ":".join([*_entries(environ, "PYTHONPATH", modules), modules]),
        "ASCEND_HOME_PATH": str(toolkit),
        "ASCEND_TOOLKIT_HOME": str(toolkit),
        "ASCEND_OPP_PATH": str(toolkit / "opp"),
    }


def activate(config: SimConfig | None = None) -> SimConfig:
    """Make this process and its children run on simulated NPUs.

    Loads the simulator's libraries, so that ``import torch`` (which loads torch_npu) finds them
    instead of CANN's, and sets the environment for child processes. A second call with the same
    configuration does nothing, and neither does any with ``ASCEND_SIM=off``.

    Parameters
    ----------
    config : SimConfig, optional
        Default: what is already active, else what a parent process handed down
        (``ASCEND_SIM_CONFIG``), else ``SimConfig()``.

    Returns
    -------
    SimConfig
        The active configuration.

    Raises
    ------
    ActivationError
        If torch was imported before, another configuration is active, torch is built for CUDA
        where torch_npu is installed, or a library cannot be loaded.
    CannConflictError
        If another CANN is loaded, or the environment points to one.
    ConfigError
        If ``ASCEND_SIM_CONFIG`` is not valid.
    """
    global _active
    if is_off():
        _logger.info("switched off: the CANN that is installed is used")
        return config or SimConfig()
    if _active is not None:
        if config is not None and config != _active:
            raise ActivationError(
                f"already active with {_active}; a process has one configuration, and {config} "
                "was asked for"
            )
        return _active
    if "torch" in sys.modules:
        raise ActivationError(
            "torch is already imported and has looked for its NPU backend. Call "
            "ascend_sim.activate() before the first import of torch, or start the program with "
            "`ascend-sim run`, or the tests with `pytest --ascend-sim`"
        )
    config = SimConfig.from_env() if config is None else config
    environ = dict(os.environ)
    variables = child_environment(config, environ)
    _refuse_loaded_cann()
    os.environ.update(variables)
    _load_libraries()
    sys.path.append(str(python_path()))
    # Children join this process's machine, and this process that of the parent with the same.
    inherited = inherited_ledger(config, environ)
    os.environ.update(inherited or make_ledger(config))
    if config.partition is not None and not (inherited and environ.get(ROOT_VARIABLE)):
        folder = tempfile.mkdtemp(prefix="ascend-sim-partition-")
        atexit.register(_remove_unless_forked, folder, os.getpid())
        os.environ.update(write_partition(config.partition, Path(folder)))
    _active = config
    _logger.debug("active: %s", config)
    return config


def _entries(environ: Mapping[str, str], variable: str, without: str) -> list[str]:
    entries = environ.get(variable, "").split(":")
    return [entry for entry in entries if entry not in ("", without)]


def _remove_unless_forked(folder: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def _load_libraries() -> None:
    folder = _torch_libraries()
    if folder is None:
        raise ActivationError(
            f"torch is not installed. Install its build for the CPU: {_PIP_INSTALL} 'torch==2.13.*'"
        )
    # The dynamic linker reads LD_LIBRARY_PATH once, at process start. So load by path, in order:
    # whoever asks for one of these later, torch_npu included, gets it by its soname.
    for path in (
        *(folder / name for name in ("libc10.so", "libtorch_cpu.so")),
        *map(library_path, LIBRARIES),
    ):
        try:
            ctypes.CDLL(str(path))
        except OSError as error:
            raise ActivationError(f"cannot load {path}: {error}") from error


def _torch_libraries() -> Path | None:
    """Folder of the libraries of torch, which is not imported; None where it is not installed."""
    torch = importlib.util.find_spec("torch")
    return Path(torch.origin).parent / "lib" if torch and torch.origin else None


def _refuse_torch_for_cuda() -> None:
    """Reject what would abort the process: torch_npu next to the allocator of torch for CUDA.

    Both register the same settings of torch's allocator (issue 13). PyPI's builds for CUDA do not
    say in their version what they are, so this looks for the library that registers them.
    """
    folder = _torch_libraries()
    if folder is None or importlib.util.find_spec("torch_npu") is None:
        return
    if (folder / "libc10_cuda.so").exists():
        version = metadata.version("torch").partition("+")[0]
        raise ActivationError(
            f"torch {version} is built for CUDA, and a process that loads torch_npu next to it "
            f"aborts. Install its build for the CPU: {_PIP_INSTALL} 'torch=={version}+cpu'"
        )


def _refuse_other_cann(environ: Mapping[str, str]) -> None:
    own = library_path("libascendcl.so")
    for folder in filter(None, environ.get("LD_LIBRARY_PATH", "").split(":")):
        other = Path(folder) / "libascendcl.so"
        if other.exists() and not other.samefile(own):
            raise CannConflictError(
                f"LD_LIBRARY_PATH leads to another CANN, {other}. To use the simulator remove "
                f"{folder} from it (`unset LD_LIBRARY_PATH` if nothing else needs it)"
            )
    for variable in _TOOLKIT_VARIABLES:
        value = environ.get(variable)
        if not value or Path(value).is_relative_to(toolkit_path()):
            continue
        if Path(value).exists():
            raise CannConflictError(
                f"{variable} points to another CANN, {value}. To use the simulator: "
                f"`unset {' '.join(_TOOLKIT_VARIABLES)}`"
            )
        _logger.warning(
            "%s=%s does not exist and is replaced by the simulator's own", variable, value
        )


def _refuse_loaded_cann() -> None:
    own = library_path("libascendcl.so")
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    loaded = {line.split(maxsplit=5)[5] for line in maps if line.endswith("/libascendcl.so")}
    for other in loaded:
        if not Path(other).samefile(own):
            raise CannConflictError(f"another CANN is already loaded in this process: {other}")
