# SPDX-License-Identifier: Apache-2.0
"""What the simulator has counted, asked in the process that runs the device."""

import ctypes
import json
from typing import Any

import ascend_sim

__all__ = ["WorkerCounters"]


class WorkerCounters:
    """Methods for vLLM's worker, given to it as ``worker_extension_cls``."""

    def simulated_counts(self) -> dict[str, Any]:
        """Return the number of graph executions, and of operations by name."""
        report = ctypes.CDLL("libascendcl.so").ascendSimOpCounts
        report.restype = ctypes.c_char_p
        executions = int(ascend_sim.counters()["graph_executions"])
        return {"executions": executions, "operations": json.loads(report())}
