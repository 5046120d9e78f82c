# SPDX-License-Identifier: Apache-2.0
"""The operators of the simulator through torch_npu, with torch on the CPU as the oracle."""

import ascend_sim

ascend_sim.activate()  # before torch is imported

from _device_suite import *  # noqa: E402, F403
from _recording import *  # noqa: E402, F403
