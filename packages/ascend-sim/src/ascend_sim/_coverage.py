# SPDX-License-Identifier: Apache-2.0
"""Which functions of the ABI there are.

Read from the table that also generates the stubs, except for operators (``aclnn*``): these are
declared once, in ``csrc/opapi``, and what libopapi exports is what there is. ``operators.toml``
lists those that torch_npu calls, and which functions of torch lead there.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

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
    needed_by: str = "torch_npu"
    torch: tuple[str, ...] = ()
    """Functions of torch that lead to it, such as ``"aten.add"``; known of operators."""


def cann_version() -> str:
    """Return the version of CANN that the simulator stands for, such as ``"9.1.0"``."""
    text = (toolkit_path() / "ascend_toolkit_install.info").read_text(encoding="utf-8")
    return text.strip().removeprefix("version=")


def operators() -> list[str]:
    """Return the names of the operators that libopapi offers, such as ``"aclnnAdd"``."""
    return _exported_operators(weak=False)


def _exported_operators(*, weak: bool) -> list[str]:
    """Operators with both phases in libopapi; those that are only stubs are weak."""
    symbols = dynamic_symbols(library_path("libopapi.so"))
    names = {s.name for s in symbols if s.defined and s.weak == weak}
    return sorted(name for name in names if f"{name}GetWorkspaceSize" in names)


def called_operators() -> dict[str, dict[str, Any]]:
    """Return what is known of the operators that torch_npu 2.13 calls, there or not.

    The fields of each are described at the head of ``operators.toml``.
    """
    return tomllib.loads(_installed("operators.toml"))


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
            needed_by=entry.get("needed_by", "torch_npu"),
        )
        for library, content in tomllib.loads(_installed("abi.toml")).items()
        for name, entry in content["functions"].items()
    ]
    return (*found, *_operator_functions())


def _operator_functions() -> Iterator[Function]:
    status = dict.fromkeys(_exported_operators(weak=True), "stub")
    status |= dict.fromkeys(operators(), "implemented")
    called = called_operators()
    for name in sorted({*status, *called}):
        facts = called.get(name, {})
        there = status.get(name, "absent")
        yield Function(
            name,
            "libopapi",
            there,
            capture="recorded" if there == "implemented" else None,
            asynchronous=True,
            note=facts.get("probed", "") if there == "absent" else "",
            torch=tuple(facts.get("torch", ())),
        )


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
    """Return one line per function: name, library, status, what a capture does, and notes.

    The notes of an absent operator are the functions of torch that lead to it.
    """
    return [
        f"{f.name:<44} {f.library:<20} {f.status:<12} {f.capture or '':<9} {_notes(f)}".rstrip()
        for f in selected
    ]


def _notes(function: Function) -> str:
    notes = [function.note] if function.note else []
    if function.status in ("stub", "absent") and function.torch:
        notes.append("from " + ", ".join(f"torch.ops.{name}" for name in function.torch))
    return "; ".join(notes)
