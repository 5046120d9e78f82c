# SPDX-License-Identifier: Apache-2.0
"""The ledger that the processes of one run share: who holds what of which device.

It is a file in memory without a name (memfd), made by whoever begins the run: `ascend-sim run`,
whose process the command then is, or the process that calls :func:`ascend_sim.activate`. Others
open it through that process, so it ends with the run, however that ends, and leaves nothing behind.
Its layout is libascendcl's (``csrc/acl/machine/ledger.cpp``).
"""

import ctypes
import fcntl
import json
import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ascend_sim._config import CONFIG_VARIABLE, SimConfig
from ascend_sim._errors import LedgerError
from ascend_sim._library import library_path

__all__ = ["LEDGER_VARIABLE", "LedgerUsage", "Usage", "ledger", "make_ledger", "running_ledgers"]

LEDGER_VARIABLE = "ASCEND_SIM_LEDGER"

_NAME = "ascend-sim-ledger"
# Above what programs close or reuse by number.
_LOWEST_FILE = 512


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process, or one other tenant, holds.

    Parameters
    ----------
    pid : int
        Process id; 0 for a tenant.
    used : tuple of dict
        For each device, numbers by resource: ``streams`` (hardware queues), ``stream_ids``,
        ``events``, ``notifies``, ``models``, ``hbm_bytes``.
    """

    pid: int
    used: tuple[dict[str, int], ...]


@dataclass(frozen=True, slots=True)
class LedgerUsage:
    """A ledger at one moment.

    Parameters
    ----------
    version : str
        Version of ascend-sim that made it.
    devices : int
        Number of devices.
    limits : dict of str to int
        What each device has, by resource.
    processes : tuple of Usage
        Living processes that took something.
    tenants : tuple of Usage
        In the order of the configuration.
    """

    version: str
    devices: int
    limits: dict[str, int]
    processes: tuple[Usage, ...]
    tenants: tuple[Usage, ...]

    def free(self, resource: str, device: int = 0) -> int:
        """Return how much of a resource of a device is free."""
        holders = (*self.processes, *self.tenants)
        return self.limits[resource] - sum(holder.used[device][resource] for holder in holders)


def ledger(path: str | Path | None = None) -> LedgerUsage:
    """Return who holds what of the devices.

    Parameters
    ----------
    path : path, optional
        The ledger's file, as ``ASCEND_SIM_LEDGER`` names it. Default: that of this process.

    Raises
    ------
    LedgerError
        If the run is over, or another version of the simulator began it.
    """
    library = _library()
    text = library.ascendSimReadLedger(None if path is None else os.fsencode(path))
    if text is None:
        raise LedgerError((library.aclGetRecentErrMsg() or b"no ledger").decode())
    content = json.loads(text)
    return LedgerUsage(
        version=content["version"],
        devices=content["devices"],
        limits=content["limits"],
        processes=tuple(Usage(row["pid"], tuple(row["used"])) for row in content["processes"]),
        tenants=tuple(Usage(row["pid"], tuple(row["used"])) for row in content["tenants"]),
    )


def make_ledger(config: SimConfig) -> dict[str, str]:
    """Begin a machine and return the variable by which processes find its ledger.

    The file stays open in this process, and in the program that it may become.

    Raises
    ------
    LedgerError
        If it cannot be made.
    """
    file = os.memfd_create(_NAME, 0)
    try:
        soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = _LOWEST_FILE if soft_limit > _LOWEST_FILE else file
        high = fcntl.fcntl(file, fcntl.F_DUPFD, lowest)
        library = _library()
        text = config.to_env()[CONFIG_VARIABLE].encode()
        if library.ascendSimMakeLedger(high, text) != 0:
            raise LedgerError((library.aclGetRecentErrMsg() or b"no ledger").decode())
    finally:
        os.close(file)
    return {LEDGER_VARIABLE: f"/proc/{os.getpid()}/fd/{high}"}


def inherited_ledger(config: SimConfig, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variable of the parent's machine; empty without one of this configuration."""
    path = environ.get(LEDGER_VARIABLE, "")
    same = SimConfig.from_env(environ) == config
    return {LEDGER_VARIABLE: path} if path and same and Path(path).exists() else {}


def running_ledgers() -> list[Path]:
    """Return the ledgers of all runs of this user, one path for each."""
    found: dict[int, Path] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for file in (process / "fd").iterdir():
                if str(file.readlink()).startswith(f"/memfd:{_NAME} "):
                    found.setdefault(file.stat().st_ino, file)
        except OSError:
            continue  # another user's, or it just ended
    return list(found.values())


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path("libascendcl.so")))
    library.ascendSimReadLedger.restype = ctypes.c_char_p
    library.ascendSimReadLedger.argtypes = [ctypes.c_char_p]
    library.ascendSimMakeLedger.argtypes = [ctypes.c_int, ctypes.c_char_p]
    library.aclGetRecentErrMsg.restype = ctypes.c_char_p
    return library
