# SPDX-License-Identifier: Apache-2.0
"""Version checks that run before anything native is imported.

A wrong pair of torch and torch_npu shows up as an undefined symbol or a crash; by then it is too
late for a good message. This module reads installed metadata only, with the standard library.
"""

import re
import sys
from collections.abc import Iterable
from importlib import metadata

from ascend_core._floors import BOUNDS, PYTHON_FLOOR, Bound
from ascend_core.errors import AscendError

__all__ = [
    "PLUGIN",
    "ConflictError",
    "VersionError",
    "check",
    "check_conflicts",
    "check_pair",
    "installed",
]

# vLLM has no wheel without a device backend: it is built from source, as pure Python.
_VLLM_BUILD = "VLLM_TARGET_DEVICE=empty VLLM_SKIP_VERSION_SUFFIX=1 "
_VLLM_FLAGS = "--no-binary vllm "
PLUGIN = "ascend-vllm-plugin"
_RIVAL = "vllm-ascend"
_PAIR = ("torch", "torch_npu")


class VersionError(AscendError, ImportError):
    """Installed versions are not among those the packages work with.

    Parameters
    ----------
    problems
        One sentence per distribution that is missing or out of bounds.
    command
        The command that mends all of them.
    """

    def __init__(self, problems: tuple[str, ...], command: str) -> None:
        super().__init__(problems, command)
        self.problems = problems
        self.command = command

    def __str__(self) -> str:
        return "; ".join(self.problems) + f".\nThis command mends it:\n  {self.command}"


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


def check(*distributions: str) -> None:
    """Check that Python and the named distributions are within bounds.

    Parameters
    ----------
    *distributions
        Any of "torch", "torch_npu", "vllm"; all of them if none is named.

    Raises
    ------
    VersionError
        If one is missing or out of bounds.
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
        raise VersionError(tuple(wrong.values()), _mending_command(wrong))


def check_pair() -> None:
    """Check that torch_npu was built for the torch that is installed.

    A torch_npu of another minor version cannot be loaded. Versions that agree pass, whatever they
    are: `check` is the one that knows what the packages support.

    Raises
    ------
    VersionError
        If they differ; the command installs a pair that works.
    """
    minors = {_parse(version)[0][:2] for name in _PAIR if (version := installed(name))}
    if len(minors) > 1:
        check(*_PAIR)


def check_conflicts() -> None:
    """Check that no other vLLM platform for Ascend NPUs stands beside ours.

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
    if _within(version, bound):
        return None
    return f"{bound.distribution} {version} is installed, but {bound.requirement} is needed"


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


def _mending_command(bounds: Iterable[Bound]) -> str:
    requirements = [f'"{bound.requirement}"' for bound in bounds]
    needs_vllm = any(bound.distribution == "vllm" for bound in bounds)
    prefix, flags = (_VLLM_BUILD, _VLLM_FLAGS) if needs_vllm else ("", "")
    return f"{prefix}pip install {flags}{' '.join(requirements)}"
