# SPDX-License-Identifier: Apache-2.0
"""The simulator, asked and told in the process that runs the device."""

import ctypes
import json

import ascend_sim
from ascend_core import Device

__all__ = ["SimulatedWorker"]


class SimulatedWorker:
    """Methods for vLLM's worker, given to it as ``worker_extension_cls``."""

    def reseed(self, seed: int) -> None:
        """Restart this rank's chaos schedule with another seed."""
        ascend_sim.reseed(seed)

    def streams_available(self) -> int:
        """Return how many more streams the first device can give."""
        return Device(0).streams_available()

    def simulated_counters(self) -> dict[str, int]:
        """Return what the simulator has counted in this process."""
        return ascend_sim.counters()

    def simulated_operations(self) -> dict[str, int]:
        """Return the number of operations that have run, by name."""
        report = ctypes.CDLL("libascendcl.so").ascendSimOpCounts
        report.restype = ctypes.c_char_p
        return dict(json.loads(report()))
