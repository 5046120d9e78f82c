# SPDX-License-Identifier: Apache-2.0
"""What can go wrong around the simulator; inside it, errors are the codes of CANN."""

__all__ = [
    "ActivationError",
    "CannConflictError",
    "ConfigError",
    "CountersError",
    "KernelError",
    "LedgerError",
    "SimError",
    "TimelineError",
]


class SimError(Exception):
    """Base of all errors raised by ``ascend_sim``."""


class ConfigError(SimError, ValueError):
    """A setting that the simulator does not know or cannot take; the text names the valid ones."""


class ActivationError(SimError, RuntimeError):
    """The simulator cannot take its place in this process; the text says what to change."""


class CannConflictError(ActivationError):
    """Another CANN, real or simulated, would be mixed with this one."""


class CountersError(SimError, RuntimeError):
    """A counter block that this version cannot read."""


class KernelError(SimError, RuntimeError):
    """A kernel that cannot be given a body, a file without kernels, or memory out of reach."""


class LedgerError(SimError, RuntimeError):
    """A ledger of devices that is gone, or that another version of the simulator made."""


class TimelineError(SimError, RuntimeError):
    """A timeline that cannot be read or drawn."""
