# SPDX-License-Identifier: Apache-2.0
"""The share of a device that a container was given by the vCANN runtime (soft partitioning).

A preloaded library limits the core time and memory of each container; a read-only file in the
container says how much. Streams are not in that file: whether they are shared first come, first
served, is for the driver to say (`Device.streams_available`).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ascend_core.errors import AscendError

__all__ = ["Partition", "PartitionError", "SchedulingPolicy"]

_ROOT_VARIABLE = "ASCEND_PARTITION_ROOT"
_CONFIG = Path("etc/enpu/vcann-rt/npu_info.config")
_PRELOAD = Path("etc/ld.so.preload")
_ENFORCER = "libvruntime.so"
_SECTION = "[DEVICE-"
# CANN's vCANN runtime refuses quotas outside of these.
_QUOTA_PERCENT = (1, 100)


class PartitionError(AscendError, ValueError):
    """The file that describes the partition cannot be read or makes no sense.

    Parameters
    ----------
    path
        The file.
    reason
        What is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.reason}. The file is written by the device plugin of the cluster: "
            "have the container started again, or ask who runs the cluster."
        )


class SchedulingPolicy(Enum):
    """How tenants share the cores of a device; the values are those of the file."""

    FIXED_SHARE = 1
    ELASTIC = 2
    BEST_EFFORT = 3


@dataclass(frozen=True, slots=True)
class Partition:
    """A soft partition of one device.

    Parameters
    ----------
    physical_npu
        Number of the device on the host.
    virtual_npu
        Number of the partition on that device.
    aicore_quota
        Share of core time in percent, 1 to 100. Not enforced under BEST_EFFORT.
    memory_quota
        Device memory in MB.
    policy
        How the tenants share the cores.
    shm_id
        Name of the file in /dev/shm that all tenants of the device share.
    enforced
        Whether the library that enforces the quotas is preloaded in this container.
    """

    physical_npu: int
    virtual_npu: int
    aicore_quota: int
    memory_quota: int
    policy: SchedulingPolicy
    shm_id: str
    enforced: bool

    @classmethod
    def read(cls, device: int = 0, *, root: Path | None = None) -> "Partition | None":
        """Read the partition of this container.

        Parameters
        ----------
        device
            Which device of the container, where the file describes several.
        root
            Root of the file system. Default: the folder that the environment variable
            ``ASCEND_PARTITION_ROOT`` names, or ``/``.

        Returns
        -------
        Partition or None
            None if the container has the whole device.

        Raises
        ------
        PartitionError
            If the file is there but cannot be read, lacks a key or holds an impossible value.
        """
        root = Path(os.environ.get(_ROOT_VARIABLE) or "/") if root is None else root
        path = root / _CONFIG
        try:
            lines = path.read_text().splitlines()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise PartitionError(path, f"it cannot be read ({error})") from error
        values = _section(lines, device)
        if values is None:
            raise PartitionError(path, f"it has no section {_SECTION}{device}]")
        return _Fields(path, values).partition(enforced=_is_enforced(root))

    def share_of(self, total: int) -> int:
        """Fair share of a resource that the partition does not name, such as streams.

        Parameters
        ----------
        total
            How many the whole device has.

        Returns
        -------
        int
            `total` in proportion to the core quota, rounded down and at least 1; all of it under
            BEST_EFFORT, which has no quota.
        """
        if self.policy is SchedulingPolicy.BEST_EFFORT:
            return total
        return max(1, total * self.aicore_quota // 100)


class _Fields:
    """Typed access to the keys of one section, with errors that name the file and the key."""

    def __init__(self, path: Path, values: dict[str, str]) -> None:
        self._path = path
        self._values = values

    def partition(self, *, enforced: bool) -> Partition:
        return Partition(
            physical_npu=self._integer("physical-npu-id"),
            virtual_npu=self._integer("virtual-npu-id"),
            aicore_quota=self._quota(),
            memory_quota=self._integer("memory-quota"),
            policy=self._policy(),
            shm_id=self._value("shm-id"),
            enforced=enforced,
        )

    def _value(self, key: str) -> str:
        if value := self._values.get(key):
            return value
        raise PartitionError(self._path, f"the key {key!r} is missing or empty")

    def _integer(self, key: str) -> int:
        value = self._value(key)
        if value.isascii() and value.isdigit():
            return int(value)
        raise PartitionError(self._path, f"{key} = {value!r} is not a number")

    def _quota(self) -> int:
        quota = self._integer("aicore-quota")
        low, high = _QUOTA_PERCENT
        if low <= quota <= high:
            return quota
        raise PartitionError(self._path, f"aicore-quota = {quota} is not within {low} to {high}")

    def _policy(self) -> SchedulingPolicy:
        number = self._integer("scheduling-policy")
        try:
            return SchedulingPolicy(number)
        except ValueError:
            known = ", ".join(f"{policy.value} ({policy.name})" for policy in SchedulingPolicy)
            reason = f"scheduling-policy = {number} is none of {known}"
            raise PartitionError(self._path, reason) from None


def _section(lines: Iterable[str], device: int) -> dict[str, str] | None:
    """Keys of a device: of its section if the file has sections, else of the whole file."""
    sections: dict[str | None, dict[str, str]] = {None: {}}
    current: str | None = None
    for line in map(str.strip, lines):
        if line.startswith(_SECTION):
            current = line
            sections[current] = {}
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            sections[current][key.strip()] = value.strip()
    return sections[None] if current is None else sections.get(f"{_SECTION}{device}]")


def _is_enforced(root: Path) -> bool:
    try:
        return _ENFORCER in (root / _PRELOAD).read_text()
    except OSError:
        return False
