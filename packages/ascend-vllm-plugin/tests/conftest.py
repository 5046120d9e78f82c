# SPDX-License-Identifier: Apache-2.0
"""Tests of the plugin's parts. Engines are tested in tests-integration."""

import ascend_sim

ascend_sim.activate()
