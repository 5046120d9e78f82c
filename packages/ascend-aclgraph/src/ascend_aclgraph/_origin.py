# SPDX-License-Identifier: Apache-2.0
"""Where in somebody's code an error arose."""

import linecache
import sys
import textwrap
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType

__all__ = ["origin_of"]

_LIBRARIES = {"ascend_aclgraph", "torch", "torch_npu", *sys.stdlib_module_names} - {"__main__"}
_WIDTH = 100


def origin_of(error: BaseException) -> str:
    """Return the place in a user's or a model's code that an error came from.

    It is the innermost one outside of torch, torch_npu, this package and Python's own library. Of
    errors that were raised for others, the first one tells.

    Returns
    -------
    str
        Path, line, function and expression, as in ``model.py:12, in forward: `x.sum().item()```;
        empty if there is no such place.
    """
    for link in reversed(list(_chain(error))):
        entry = _innermost(link.__traceback__)
        if entry is not None:
            place = traceback.extract_tb(entry, limit=1)[0]
            expression = _expression(place)
            at = f"{place.filename}:{place.lineno}, in {place.name}"
            return f"{at}: `{expression}`" if expression else at
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _innermost(entry: TracebackType | None) -> TracebackType | None:
    found = None
    while entry is not None:
        if not _is_of_library(entry.tb_frame):
            found = entry
        entry = entry.tb_next
    return found


def _is_of_library(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _LIBRARIES


def _expression(place: traceback.FrameSummary) -> str:
    """Return the source of what was evaluated; empty if the source is not there."""
    first, last = place.lineno, place.end_lineno
    begin, end = place.colno, place.end_colno
    if first is None or last is None or begin is None or end is None:
        return place.line or ""
    lines = [linecache.getline(place.filename, line).encode() for line in range(first, last + 1)]
    lines[-1] = lines[-1][:end]  # columns count bytes
    lines[0] = lines[0][begin:]
    return textwrap.shorten(b" ".join(lines).decode(errors="replace"), _WIDTH, placeholder=" ...")
