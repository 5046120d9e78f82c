# SPDX-License-Identifier: Apache-2.0
"""The chaos schedule, in the process that runs the device."""

import ascend_sim

__all__ = ["WorkerChaos"]


class WorkerChaos:
    """Methods for vLLM's worker, given to it as ``worker_extension_cls``."""

    def reseed(self, seed: int) -> None:
        """Restart this rank's schedule with another seed."""
        ascend_sim.reseed(seed)

    def simulated_counters(self) -> dict[str, int]:
        """Return what the simulator has counted in this process."""
        return ascend_sim.counters()
