# SPDX-License-Identifier: Apache-2.0
"""Capturing streams into graphs: the state machine, its checks and their order, forks and joins.

Each docstring names where the rule was read: a file or a unit test of CANN's runtime
(hicann/runtime) or of torch_npu.
"""

NONE, ACTIVE, INVALIDATED = range(3)


# --- begin, end, info ---


# --- forks and joins ---


# --- what a capture forbids ---
