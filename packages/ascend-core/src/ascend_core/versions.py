# SPDX-License-Identifier: Apache-2.0
"""Version checks that run before anything native is imported.

A wrong pair of torch and torch_npu shows up as an undefined symbol or a crash; by then it is too
late for a good message. This module reads what is installed with the standard library only.
"""

import re
import sys
from collections.abc import Iterable
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from ascend_core._bounds import BOUNDS, PYTHON_FLOOR, Bound
from ascend_core.errors import AscendError

__all__ = [
    "PLUGIN",
    "ConflictError",
    "VersionError",
    "check",
    "check_conflicts",
    "check_pair",
    "installed",
    "is_built_for_cuda",
]

# vLLM has no wheel without a device backend: it is built from source, as pure Python.
_VLLM_BUILD = "VLLM_TARGET_DEVICE=empty VLLM_SKIP_VERSION_SUFFIX=1 "
_VLLM_FLAGS = "--no-binary vllm "
PLUGIN = "ascend-vllm-plugin"
_RIVAL = "vllm-ascend"
_PAIR = ("torch", "torch_npu")

# PyPI's torch for Linux is built for CUDA; its build for the CPU is on an index of its own.
_CPU_INDEX = "--extra-index-url https://download.pytorch.org/whl/cpu "


class VersionError(AscendError, ImportError):
    """Installed versions are not among those the packages work with.

    Parameters
    ----------
    problems
        One sentence per distribution that is missing or out of bounds.
    command
        The command that fixes all of them.
    """

    def __init__(self, problems: tuple[str, ...], command: str) -> None:
        super().__init__(problems, command)
        self.problems = problems
        self.command = command

    def __str__(self) -> str:
        return "; ".join(self.problems) + f".\nThis command fixes it:\n  {self.command}"


class ConflictError(AscendError, ImportError):
    """Two installed distributions both claim the NPU platform of vLLM."""

    def __str__(self) -> str:
        return (
            f"{_RIVAL} and {PLUGIN} are both installed, and both are vLLM's platform for Ascend "
            "NPUs: one of the two must go.\n"
            f"  to keep {PLUGIN}: pip uninstall {_RIVAL}\n"
            f"  to keep {_RIVAL}: pip uninstall {PLUGIN}"
        )


def installed(distribution: str) -> str | None:
    """Version of an installed distribution, or None; nothing is imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def is_built_for_cuda() -> bool:
    """Whether the installed torch is a build for CUDA; nothing is imported.

    torch_npu cannot be loaded next to one: both register the same settings of torch's allocator,
    and the second to do so aborts the process (issue 13). The version does not show it, because
    PyPI's builds for CUDA have no local part. The library that registers the settings does.
    """
    spec = PathFinder.find_spec("torch")
    folders = (spec and spec.submodule_search_locations) or ()
    return any(Path(folder, "lib", "libc10_cuda.so").exists() for folder in folders)


def check(*distributions: str) -> None:
    """Check that Python and the named distributions are those the packages work with.

    Parameters
    ----------
    *distributions
        Any of "torch", "torch_npu", "vllm"; all of them if none is named.

    Raises
    ------
    VersionError
        If one is missing or out of bounds, or torch is a build for CUDA.
    """
    if sys.version_info[:2] < PYTHON_FLOOR:
        floor = ".".join(map(str, PYTHON_FLOOR))
        raise VersionError(
            (f"Python {sys.version_info[0]}.{sys.version_info[1]} is older than {floor}",),
            f"python{floor} -m venv .venv && . .venv/bin/activate",
        )
    bounds = [BOUNDS[name] for name in distributions or BOUNDS]
    wrong = {bound: problem for bound in bounds if (problem := _problem(bound))}
    if wrong:
        requirements = [_requirement(bound) for bound in wrong]
        raise VersionError(tuple(wrong.values()), _pip_install(requirements))


def check_pair() -> None:
    """Check that torch_npu can be loaded into the torch that is installed.

    A torch_npu of another minor version cannot be loaded, nor one next to a torch built for CUDA.
    Versions that agree pass, whatever they are: `check` is the one that knows what the packages
    support.

    Raises
    ------
    VersionError
        If it cannot; the command installs a pair that works.
    """
    minors = {_parse(version)[0][:2] for name in _PAIR if (version := installed(name))}
    if len(minors) > 1:
        check(*_PAIR)
    if is_built_for_cuda():
        version = installed("torch") or BOUNDS["torch"].floor
        raise VersionError((_cuda_problem(),), _pip_install([_cpu_build(version)]))


def check_conflicts() -> None:
    """Check that no other vLLM platform for Ascend NPUs is installed.

    Raises
    ------
    ConflictError
        If both are installed.
    """
    if installed(_RIVAL) and installed(PLUGIN):
        raise ConflictError


def _problem(bound: Bound) -> str | None:
    version = installed(bound.distribution)
    if version is None:
        return f"{bound.distribution} is not installed ({bound.requirement} is needed)"
    if not _within(version, bound):
        return f"{bound.distribution} {version} is installed, but {bound.requirement} is needed"
    if bound.distribution == "torch" and is_built_for_cuda():
        return _cuda_problem()
    return None


def _cuda_problem() -> str:
    return (
        f"torch {installed('torch')} is a build for CUDA, and a process that loads torch_npu with "
        "it aborts: the build for the CPU is needed"
    )


def _within(version: str, bound: Bound) -> bool:
    release, is_prerelease = _parse(version)
    floor = _parse(bound.floor)[0]
    if release == floor and is_prerelease:
        return False
    return floor <= release < _parse(bound.below)[0]


def _parse(version: str) -> tuple[tuple[int, ...], bool]:
    """Release numbers (three at least) and whether it is a pre-release; "+cpu" does not matter."""
    public = version.partition("+")[0]
    match = re.match(r"\d+(?:\.\d+)*", public)
    numbers = tuple(int(part) for part in match[0].split(".")) if match else ()
    is_prerelease = bool(re.search(r"\d\.?(a|b|rc|dev)", public))
    return numbers + (0,) * (3 - len(numbers)), is_prerelease


def _requirement(bound: Bound) -> str:
    """Return what pip is asked for where a bound is not met."""
    if bound.distribution != "torch":
        return bound.requirement
    version = installed("torch")
    return _cpu_build(version if version and _within(version, bound) else bound.floor)


def _cpu_build(version: str) -> str:
    return f"torch=={version.partition('+')[0]}+cpu"


def _pip_install(requirements: Iterable[str]) -> str:
    quoted = " ".join(f'"{requirement}"' for requirement in requirements)
    prefix, flags = (_VLLM_BUILD, _VLLM_FLAGS) if '"vllm' in quoted else ("", "")
    index = _CPU_INDEX if "+cpu" in quoted else ""
    return f"{prefix}pip install {flags}{index}{quoted}"
