# SPDX-License-Identifier: Apache-2.0
"""Operators beyond what a device takes (`limits="off"`): fused attention in fp32, small sizes."""

import ascend_sim

ascend_sim.activate(ascend_sim.SimConfig(limits="off"))  # before torch is imported

from _device_suite import *  # noqa: E402, F403
from _recording import *  # noqa: E402, F403
