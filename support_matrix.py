# SPDX-License-Identifier: Apache-2.0
"""The rows of `support-matrix.toml`, for `noxfile.py`, the tests and the documentation."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["DEFAULT", "ROWS", "SIMULATED", "Row", "table"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One combination of versions.

    Parameters
    ----------
    name
        What `--row` takes.
    python, torch, torch_npu, vllm, cann
        Versions; of Python the minor one.
    status
        "simulated" if the tests run it on ascend-sim, "planned" if nothing runs it yet.
    reason
        Why a row is planned only.
    """

    name: str
    python: str
    torch: str
    torch_npu: str
    vllm: str
    cann: str
    status: Literal["simulated", "planned"]
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.status == "planned") != bool(self.reason):
            raise ValueError(f"row {self.name}: a planned row, and no other, needs a reason")

    @property
    def torch_requirement(self) -> str:
        """The build of torch for the CPU: torch_npu cannot be loaded next to one for CUDA."""
        return f"torch=={self.torch}+cpu"

    @property
    def product(self) -> tuple[str, str]:
        """What pip is asked for, besides our wheels and vLLM's."""
        return self.torch_requirement, f"torch_npu=={self.torch_npu}"


def _read() -> dict[str, Row]:
    text = Path(__file__).with_name("support-matrix.toml").read_text()
    rows = [Row(**row) for row in tomllib.loads(text)["row"]]
    return {row.name: row for row in rows}


ROWS = _read()
SIMULATED = {name: row for name, row in ROWS.items() if row.status == "simulated"}
DEFAULT = next(iter(SIMULATED.values()))
"""The row of every session that is not asked for another."""


def table() -> str:
    """Return the rows as a table in Markdown."""
    head = ("row", "Python", "torch", "torch_npu", "vLLM", "CANN", "status")
    lines = [head, ("---",) * len(head)]
    for row in ROWS.values():
        status = f"{row.status}: {row.reason}" if row.reason else row.status
        versions = (row.python, row.torch, row.torch_npu, row.vllm, row.cann)
        lines.append((f"`{row.name}`", *versions, status))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
