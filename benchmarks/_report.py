# SPDX-License-Identifier: Apache-2.0
"""A benchmark's result: a table for people, JSON for programs."""

import argparse
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["parser", "report"]


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument(
        "--json", type=Path, metavar="FILE", help="write the rows there as JSON too"
    )
    return result


def report(title: str, rows: Sequence[Mapping[str, Any]], json_path: Path | None = None) -> None:
    """Print rows as a table, and write them as JSON if a path is given.

    Parameters
    ----------
    title
        Above the table.
    rows
        All with the same keys, which become the header. Floats are shown with three digits.
    json_path
        File that gets ``{"title", "machine", "rows"}``.
    """
    header = list(rows[0])
    lines = [header, *([_text(row[key]) for key in header] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}")
    for line in lines:
        first, *others = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join([first.strip().ljust(widths[0]), *others]))
    if json_path is not None:
        machine = {"processor": platform.processor() or platform.machine(), "cpus": os.cpu_count()}
        content = {"title": title, "machine": machine, "rows": [dict(row) for row in rows]}
        json_path.write_text(json.dumps(content, indent=1) + "\n")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return str(value)
