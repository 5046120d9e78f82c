# SPDX-License-Identifier: Apache-2.0
"""The command line of generators of sources from a table of operators: ``SPEC.toml OUT.cpp``."""

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["write"]


def write(render: Callable[[dict[str, dict[str, Any]]], str]) -> None:
    """Write what `render` makes of the table."""
    spec, output = map(Path, sys.argv[1:])
    output.parent.mkdir(parents=True, exist_ok=True)
    source = render(tomllib.loads(spec.read_text(encoding="utf-8")))
    output.write_text(source, encoding="utf-8")
