# SPDX-License-Identifier: Apache-2.0
"""CANN's C ABI on the CPU: the unmodified torch_npu wheel runs on a machine with no NPU.

Call :func:`activate` before torch is imported, or start the whole program with ``ascend-sim run``.
"""

from ascend_sim._activate import activate
from ascend_sim._config import SimConfig
from ascend_sim._counters import counters, read_counters
from ascend_sim._errors import (
    ActivationError,
    CannConflictError,
    ConfigError,
    CountersError,
    KernelError,
    LedgerError,
    SimError,
    TimelineError,
)
from ascend_sim._fault import Fault
from ascend_sim._interpose import Injection, device_limits, hook, inject, reseed
from ascend_sim._kernel import device_view, kernel
from ascend_sim._ledger import LedgerUsage, Usage, ledger
from ascend_sim._library import library_path
from ascend_sim._size import parse_size
from ascend_sim._timeline import Timeline, read_timeline
from ascend_sim._version import __version__

__all__ = [
    "ActivationError",
    "CannConflictError",
    "ConfigError",
    "CountersError",
    "Fault",
    "Injection",
    "KernelError",
    "LedgerError",
    "LedgerUsage",
    "SimConfig",
    "SimError",
    "Timeline",
    "TimelineError",
    "Usage",
    "__version__",
    "activate",
    "counters",
    "device_limits",
    "device_view",
    "hook",
    "inject",
    "kernel",
    "ledger",
    "library_path",
    "parse_size",
    "read_counters",
    "read_timeline",
    "reseed",
]
