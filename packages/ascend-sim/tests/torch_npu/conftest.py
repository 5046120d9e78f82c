# SPDX-License-Identifier: Apache-2.0
"""What torch_npu offers beside operators, on the simulator: streams, memory, graphs, processes."""

import ascend_sim

ascend_sim.activate()  # before torch is imported

from support.device_suite import (  # noqa: E402
    chosen_limits,
    internal_formats,
    pytest_configure,
    stop_at_the_first_device_error,
)
from support.programs import clean_environ, cli, program  # noqa: E402

__all__ = [
    "chosen_limits",
    "clean_environ",
    "cli",
    "internal_formats",
    "program",
    "pytest_configure",
    "stop_at_the_first_device_error",
]
