# SPDX-License-Identifier: Apache-2.0
"""Which functions of the ABI there are.

Read from the table that also generates the stubs, except for operators (``aclnn*``): these are
declared once, in ``csrc/opapi``, and what libopapi exports is what there is. ``operators.txt``
lists those that torch_npu calls, so that what is not there has a name.
"""

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ascend_sim._elf import dynamic_symbols
from ascend_sim._library import library_path, toolkit_path

__all__ = [
    "STATUSES",
    "Function",
    "called_operators",
    "cann_version",
    "functions",
    "listing",
    "operators",
    "summary",
]

STATUSES = ("implemented", "approximate", "stub", "absent")


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the ABI; the fields are described at the head of ``abi.toml``."""

    name: str
    library: str
    status: str
    capture: str | int | None = None
    asynchronous: bool = False
    note: str = ""


def cann_version() -> str:
    """Return the version of CANN that the simulator stands for, such as ``"9.1.0"``."""
    text = (toolkit_path() / "ascend_toolkit_install.info").read_text(encoding="utf-8")
    return text.strip().removeprefix("version=")


def operators() -> list[str]:
    """Return the names of the operators that libopapi offers, such as ``"aclnnAdd"``."""
    names = {s.name for s in dynamic_symbols(library_path("libopapi.so")) if s.defined}
    return sorted(name for name in names if f"{name}GetWorkspaceSize" in names)


def called_operators() -> list[str]:
    """Return the names of the operators that torch_npu 2.13 calls, there or not."""
    return _installed("operators.txt").split()


def _installed(name: str) -> str:
    return (library_path("libascendcl.so").parent.parent / name).read_text(encoding="utf-8")


@cache
def functions() -> tuple[Function, ...]:
    """Return the functions of all libraries, with the operators that are built."""
    found = [
        Function(
            name=name,
            library=library,
            status=entry["status"],
            capture=entry.get("capture"),
            asynchronous=entry.get("async", False),
            note=entry.get("note", ""),
        )
        for library, content in tomllib.loads(_installed("abi.toml")).items()
        for name, entry in content["functions"].items()
    ]
    built = operators()
    found += [
        Function(
            name,
            "libopapi",
            "implemented" if name in built else "absent",
            capture="recorded" if name in built else None,
            asynchronous=True,
        )
        for name in sorted({*built, *called_operators()})
    ]
    return tuple(found)


def summary(selected: Sequence[Function]) -> list[str]:
    """Return lines with the number of functions per library and status."""
    counts = Counter((function.library, function.status) for function in selected)
    lines = [f"{'library':<22}" + "".join(f"{status:>13}" for status in STATUSES)]
    for library in dict.fromkeys(function.library for function in selected):
        numbers = "".join(f"{counts[library, status]:>13}" for status in STATUSES)
        lines.append(f"{library:<22}{numbers}")
    totals = (sum(counts[key] for key in counts if key[1] == status) for status in STATUSES)
    return [*lines, f"{'total':<22}" + "".join(f"{number:>13}" for number in totals)]


def listing(selected: Sequence[Function]) -> list[str]:
    """Return one line per function: name, library, status, what a capture does, and a note."""
    return [
        f"{f.name:<44} {f.library:<20} {f.status:<12} {f.capture or '':<9} {f.note}".rstrip()
        for f in selected
    ]
