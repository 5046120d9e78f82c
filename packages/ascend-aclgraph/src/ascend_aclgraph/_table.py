# SPDX-License-Identifier: Apache-2.0
"""A table as plain text, for a log."""

from collections.abc import Sequence

__all__ = ["aligned"]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out in columns as wide as their widest cell.

    Parameters
    ----------
    rows
        Equally long; the first may hold the heads.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
