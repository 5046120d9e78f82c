# SPDX-License-Identifier: Apache-2.0
"""What the vCANN runtime leaves in a container that has a soft partition of a device.

A read-only file with the container's quotas, an entry in ``/etc/ld.so.preload``, a file in
``/dev/shm`` that the tenants of a device share, a folder in ``/run``, and the environment variable
``ENPU_ENABLE``. Here they lie in a folder that stands for ``/`` and that ``ASCEND_PARTITION_ROOT``
names: nothing outside of it is written.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ascend_sim._errors import ConfigError
from ascend_sim._size import parse_size

__all__ = ["ROOT_VARIABLE", "Quota", "write_partition"]

ROOT_VARIABLE = "ASCEND_PARTITION_ROOT"

_MIB = 1 << 20
# As the file numbers them.
_POLICIES = {"fixed-share": 1, "elastic": 2, "best-effort": 3}
_KEYS = ("aicore", "memory", "policy", "physical", "virtual", "shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a container was given of a device.

    Parameters
    ----------
    aicore : int
        Share of the core time in percent, 1 to 100. Not enforced.
    memory_bytes : int
        Device memory, in whole MiB.
    policy : str
        "fixed-share", "elastic" or "best-effort".
    physical, virtual : int
        Numbers of the device on the host and of the partition on the device.
    shm : str
        Name of the file that the tenants share.
    """

    aicore: int
    memory_bytes: int
    policy: str
    physical: int
    virtual: int
    shm: str

    @classmethod
    def parse(cls, text: str, hbm_bytes: int) -> Self:
        """Return the quota of a text such as ``"aicore=50,memory=4GiB,policy=elastic"``.

        Parameters
        ----------
        text : str
            Any of the keys aicore (default 50), memory (all), policy (elastic), physical (0),
            virtual (0), shm (one name for each physical device); may be empty.
        hbm_bytes : int
            Memory of the device: the default, and the most.

        Raises
        ------
        ConfigError
            If a key or a value is not valid; the text names those that are.
        """
        given: dict[str, str] = {}
        for part in filter(None, text.split(",")):
            key, equals, value = part.strip().partition("=")
            if not equals or not value or key not in _KEYS:
                raise ConfigError(f"partition: {part!r} is not one of {'=, '.join(_KEYS)}=")
            given[key] = value
        memory = parse_size(given.get("memory", str(hbm_bytes))) // _MIB * _MIB
        policy = given.get("policy", "elastic")
        physical = _number("physical", given.get("physical", "0"), 0, 1 << 16)
        shm = given.get("shm", "00000000-" * 4 + f"{physical:08X}")
        if not 0 < memory <= hbm_bytes:
            raise ConfigError(f"partition: memory must be from 1MiB to {hbm_bytes // _MIB}MiB")
        if policy not in _POLICIES:
            raise ConfigError(f"partition: policy={policy!r}; valid: {', '.join(_POLICIES)}")
        if "/" in shm:
            raise ConfigError(f"partition: shm={shm!r} must be the name of a file, not a path")
        return cls(
            aicore=_number("aicore", given.get("aicore", "50"), 1, 100),
            memory_bytes=memory,
            policy=policy,
            physical=physical,
            virtual=_number("virtual", given.get("virtual", "0"), 0, 1 << 16),
            shm=shm,
        )

    def text(self) -> str:
        """Return the text that :meth:`parse` makes this quota from."""
        return (
            f"aicore={self.aicore},memory={self.memory_bytes},policy={self.policy},"
            f"physical={self.physical},virtual={self.virtual},shm={self.shm}"
        )

    def write(self, root: Path) -> dict[str, str]:
        """Write the files of the container and return its environment variables.

        Parameters
        ----------
        root : path
            Existing folder that stands for ``/``.
        """
        config = root / "etc/enpu/vcann-rt/npu_info.config"
        shared = root / "dev/shm" / self.shm
        for path in (config, shared, root / "run/enpu/vcann-rt/x"):
            path.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(
            f"physical-npu-id={self.physical}\n"
            f"virtual-npu-id={self.virtual}\n"
            f"aicore-quota={self.aicore}\n"
            f"memory-quota={self.memory_bytes // _MIB}\n"
            f"shm-id={self.shm}\n"
            f"scheduling-policy={_POLICIES[self.policy]}\n"
        )
        config.chmod(0o444)
        shared.touch()
        (root / "etc/ld.so.preload").write_text("/opt/enpu/vcann-rt/lib/libvruntime.so\n")
        return {ROOT_VARIABLE: str(root), "ENPU_ENABLE": "true"}


def write_partition(text: str, root: Path) -> dict[str, str]:
    """Write the files of a complete quota's text; see :meth:`Quota.write`."""
    return Quota.parse(text, 1 << 44).write(root)


def _number(key: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise ConfigError(f"partition: {key}={text!r} must be a number from {low} to {high}")
    return int(text)
