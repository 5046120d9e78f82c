# SPDX-License-Identifier: Apache-2.0
"""What noting the touched memory adds to a capture through vLLM; run as a program."""

import random
import statistics
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from _case import Case, child_main
from _engine import make_llm


def measure(case: Case, model: Path) -> dict[str, Any]:
    """Let vLLM capture every size of the case; every other graph, at random, without noting.

    With ``compute=off`` the host time of a capture does not depend on its size.

    Returns
    -------
    dict
        ``with_ms``, ``without_ms``: time of a capture by the clock, median of its half of the
        sizes. ``share``: what noting takes of the whole.
    """
    from ascend_aclgraph import _capture
    from ascend_aclgraph._keep import KeepAlive

    record = _capture._record
    seconds: dict[bool, list[float]] = {True: [], False: []}
    order: list[bool] = []

    def timed_record(*args: Any) -> None:
        if not order:
            order.extend(random.sample((True, False), 2))
        noting = order.pop()
        begin = time.perf_counter()
        if noting:
            record(*args)
        else:
            with (
                patch.object(KeepAlive, "__enter__", lambda self: self),
                patch.object(KeepAlive, "__exit__", lambda *_: None),
            ):
                record(*args)
        seconds[noting].append(time.perf_counter() - begin)

    random.seed(0)
    with patch.object(_capture, "_record", timed_record):
        make_llm(case, model)
    with_ms, without_ms = (1e3 * statistics.median(seconds[noting]) for noting in (True, False))
    return {"with_ms": with_ms, "without_ms": without_ms, "share": 1 - without_ms / with_ms}


if __name__ == "__main__":
    child_main(measure)
