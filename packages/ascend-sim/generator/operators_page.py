# SPDX-License-Identifier: Apache-2.0
"""Write the page of the documentation that lists the operators: ``operators_page.py OUT.md``.

It shows ``tests/SUITE/operators.json``, which ``pytest packages/ascend-sim/tests/SUITE
--record-operators`` writes, and from spec/operators.toml the functions of torch that lead to each
operator.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

__all__ = ["SUITES", "TESTS", "Record", "read_records", "record_path", "render"]

_PACKAGE = Path(__file__).parents[1]
_SPEC = _PACKAGE / "spec" / "operators.toml"
TESTS = _PACKAGE / "tests"
SUITES = ("ops", "models")
"""Folders of `TESTS` that keep a record."""

Record = dict[str, dict[str, list[str]]]
"""Operator -> "dtypes", "layouts", "limits", "tests" -> values."""

HEADING = """\
# Operators

Made from what the tests of `ascend-sim` launch: an operator is in this table with the dtypes and layouts with
which a test that passed compares its results with PyTorch on the CPU or with a formula. *Strided* is a view
that is not dense; *NZ* is the fractal storage of matrices; limits are those of the device that a test sees
enforced. Of all operators that `torch_npu` calls, `ascend-sim coverage --library libopapi --list` says which
are there.

{count} operators.

| operator | from `torch.ops` | dtypes | layouts | limits | tests |
|---|---|---|---|---|---|
"""  # noqa: E501


def record_path(suite: str) -> Path:
    """Return the file in which a suite records what its tests launch."""
    return TESTS / suite / "operators.json"


def read_records() -> Record:
    """Return what the records of all suites say together."""
    together: Record = {}
    for suite in SUITES:
        for name, entry in json.loads(record_path(suite).read_text(encoding="utf-8")).items():
            into = together.setdefault(name, {})
            for key, values in entry.items():
                into[key] = sorted({*into.get(key, []), *values})
    return dict(sorted(together.items()))


def render(record: Record) -> str:
    """Return the page for a record."""
    facts: dict[str, dict[str, Any]] = tomllib.loads(_SPEC.read_text(encoding="utf-8"))
    lines = [HEADING.format(count=len(record))]
    for name, entry in record.items():
        files = sorted({test.partition("::")[0] for test in entry["tests"]})
        limits = "<br>".join(limit.replace("|", "\\|") for limit in entry.get("limits", []))
        cells = (
            name.removeprefix("aclnn"),
            ", ".join(facts.get(name, {}).get("torch", [])),
            ", ".join(entry.get("dtypes", [])),
            ", ".join(entry.get("layouts", [])),
            limits,
            ", ".join(Path(file).stem.removeprefix("test_") for file in files),
        )
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(read_records()), encoding="utf-8")
