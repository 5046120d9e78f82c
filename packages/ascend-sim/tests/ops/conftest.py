# SPDX-License-Identifier: Apache-2.0
"""The operators of the simulator through torch_npu, with torch on the CPU as the oracle.

With the limits of a device, unless a test is marked `device_limits("off")`: fused attention in
fp32, small sizes.
"""

import ascend_sim

ascend_sim.activate()  # before torch is imported

from support.device_suite import (  # noqa: E402
    chosen_limits,
    internal_formats,
    pytest_configure,
    stop_at_the_first_device_error,
)
from support.recording import (  # noqa: E402
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_runtest_call,
    pytest_sessionfinish,
    pytest_sessionstart,
)

__all__ = [
    "chosen_limits",
    "internal_formats",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "stop_at_the_first_device_error",
]
