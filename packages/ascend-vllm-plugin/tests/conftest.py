# SPDX-License-Identifier: Apache-2.0
"""Tests of the plugin's parts. Engines are tested in tests-integration.

Without the limits of a device: small heads and fp32 make attention quick and exact.
"""

import ascend_sim

ascend_sim.activate(ascend_sim.SimConfig(limits="off"))
