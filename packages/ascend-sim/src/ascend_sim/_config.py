# SPDX-License-Identifier: Apache-2.0
"""What is simulated: :class:`SimConfig`, and how it travels to child processes."""

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

from ascend_sim import _partition, _tenants
from ascend_sim._errors import ConfigError
from ascend_sim._fault import Fault
from ascend_sim._size import parse_size

__all__ = [
    "CHECKS",
    "CONFIG_VARIABLE",
    "MAX_DEVICES",
    "SOCS",
    "Compute",
    "Queues",
    "SimConfig",
    "check_schedule",
    "parse_size",
]

CONFIG_VARIABLE = "ASCEND_SIM_CONFIG"

Queues = Literal["software", "hardware"]
Compute = Literal["on", "off"]
Limits = Literal["device", "off"]
Numerics = Literal["exact", "npu"]

SCHEDULES = ("threads", "inline", "chaos:SEED")
CHECKS = ("off", "hazards", "hazards=error")
_CHAOS = re.compile(r"chaos:(\d+)")

# What is known of each is in csrc/acl/base/soc.cpp. The 910A is missing because it has no graphs.
SOCS = (
    "Ascend310P1",
    "Ascend310P3",
    "Ascend310P5",
    "Ascend310P7",
    "Ascend910B1",
    "Ascend910B2",
    "Ascend910B2C",
    "Ascend910B3",
    "Ascend910B4",
    "Ascend910B4-1",
    "Ascend910_9362",
    "Ascend910_9363",
    "Ascend910_9372",
    "Ascend910_9381",
    "Ascend910_9382",
    "Ascend910_9391",
    "Ascend910_9392",
    "Ascend950DT_9571",
    "Ascend950DT_9581",
    "Ascend950DT_9591",
    "Ascend950PR_9579",
    "Ascend950PR_9589",
    "Ascend950PR_9599",
)

MAX_DEVICES = 16  # C10_COMPILE_TIME_MAX_NPUS: torch_npu can address no more


@dataclass(frozen=True, slots=True, kw_only=True)
class SimConfig:
    """What is simulated. Immutable; the same for a process and all its children.

    Parameters
    ----------
    devices : int
        Number of NPUs, 1 to 16.
    soc : str
        SoC name as CANN reports it, such as ``"Ascend910B3"``; one of ``ascend_sim._config.SOCS``.
    hbm_bytes : int
        Memory of each device, in bytes. Backed by host memory as it is touched.
    streams : int, optional
        Hardware streams (SQs) that one device offers. Default: what CANN documents for the chip,
        1984 for A2, A3 and 950, 1024 for 310P.
    events : int, optional
        Events that one device offers. Default: the chip's, 65536 or, for 310P, 1023.
    tenants : sequence of str
        Other users of the devices, as containers next to this one are: each text is what one takes
        of each device and when, such as ``"streams=700,after=2s,steps=7,every=1s"``. Takes:
        streams, stream_ids, events, notifies, models, hbm. The time runs from the first use of a
        device. A tenant keeps what it takes, and does not get what is exhausted.
    partition : str, optional
        A soft partition of the first device, as the vCANN runtime makes one for a container, such
        as ``"aicore=50,memory=4GiB,policy=elastic"`` (more keys: physical, virtual, shm). The
        memory is a limit; the rest is what a program can read of it.
    sq : {"software", "hardware"}
        When a graph takes hardware queues (SQs). ``"software"``: at its first execution, and idle
        graphs give theirs up to others. ``"hardware"``, as with firmware before CANN 8.5: each
        stream takes one while it is captured and the graph keeps it.
    schedule : {"threads", "inline", "chaos:SEED"}
        ``"threads"``: a worker per stream, asynchronous as on a device. ``"inline"``: a task runs
        inside the call that launches it; for debugging, as it hides every missing synchronization.
        ``"chaos:7"``: whatever no rule orders is delayed and reordered, the same way each time for
        the same seed (0 to 2**64 - 1); for finding missing synchronization.
    compute : {"on", "off"}
        ``"off"`` launches, orders and counts kernels without running their bodies: what is left is
        host time.
    limits : {"device", "off"}
        ``"device"``: operators refuse what those of a device do not take, such as fp32 in fused
        attention. ``"off"``: they take all that can be computed, so that tokens can be compared in
        fp32.
    numerics : {"exact", "npu"}
        ``"npu"``: rounds as a device does where it is known to differ from PyTorch on the CPU.
    check : {"off", "hazards", "hazards=error"}, optional
        ``"hazards"``: races between streams, use of freed memory and the like are named on stderr.
        ``"hazards=error"``: and make the next synchronization fail. Default: ``"hazards"`` with a
        chaos schedule, else ``"off"``.
    faults : tuple of str
        What goes wrong on purpose, in every process; see :class:`ascend_sim.Fault`.
    timeline : str, optional
        File for the timeline of all processes, in Chrome's trace format; an existing one is
        continued.
    counters_dir : str, optional
        Existing folder in which each process keeps its counters in a file of its own, readable
        while it runs and after it is killed (:func:`ascend_sim.read_counters`).

    Raises
    ------
    ConfigError
        If a value is not valid; the text names those that are.
    """

    devices: int = 1
    soc: str = "Ascend910B3"
    hbm_bytes: int = 8 << 30
    streams: int | None = None
    events: int | None = None
    tenants: tuple[str, ...] = ()
    partition: str | None = None
    sq: Queues = "software"
    schedule: str = "threads"
    compute: Compute = "on"
    limits: Limits = "device"
    numerics: Numerics = "exact"
    check: str | None = None
    faults: tuple[str, ...] = ()
    timeline: str | None = None
    counters_dir: str | None = None

    def __post_init__(self) -> None:
        _check_range("devices", self.devices, 1, MAX_DEVICES)
        _check_range("hbm_bytes", self.hbm_bytes, 1 << 20, 1 << 44)
        if self.streams is not None:
            _check_range("streams", self.streams, 1, 32768)
        if self.events is not None:
            _check_range("events", self.events, 1, 65536)
        _check_choice("soc", self.soc, SOCS)
        _check_choice("sq", self.sq, get_args(Queues))
        check_schedule(self.schedule)
        _check_choice("compute", self.compute, get_args(Compute))
        _check_choice("limits", self.limits, get_args(Limits))
        _check_choice("numerics", self.numerics, get_args(Numerics))
        tenants = tuple(_tenants.canonical(text) for text in _texts(self.tenants))
        object.__setattr__(self, "tenants", tenants)
        if self.partition is not None:
            quota = _partition.Quota.parse(self.partition, self.hbm_bytes)
            object.__setattr__(self, "partition", quota.text())
            object.__setattr__(self, "hbm_bytes", min(self.hbm_bytes, quota.memory_bytes))
        if self.check is not None:
            _check_choice("check", self.check, CHECKS)
        faults = tuple(str(Fault.parse(fault)) for fault in self.faults)
        object.__setattr__(self, "faults", faults)
        for folder in ("counters_dir", "timeline"):
            if (path := getattr(self, folder)) is not None:
                # Children may run in another folder.
                object.__setattr__(self, folder, str(Path(path).resolve()))

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Return the configuration with these settings, and defaults for the rest.

        Raises
        ------
        ConfigError
            If a key is unknown (the nearest one is named) or a value is not valid.
        """
        known = [field.name for field in fields(cls)]
        for key in settings:
            if key not in known:
                raise ConfigError(f"unknown setting {key!r}{_nearest(key, known)}")
        faults = settings.get("faults", ())
        if isinstance(faults, str):  # as the environment carries them
            faults = tuple(faults.split(";"))
        return cls(**{**settings, "faults": faults})

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the configuration that a parent process handed down, or the default one.

        Raises
        ------
        ConfigError
            If ``ASCEND_SIM_CONFIG`` holds anything but a JSON object of valid settings.
        """
        text = environ.get(CONFIG_VARIABLE)
        if not text:
            return cls()
        try:
            settings = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{CONFIG_VARIABLE} is not JSON ({error}): {text!r}") from error
        if not isinstance(settings, dict):
            raise ConfigError(f"{CONFIG_VARIABLE} must be a JSON object: {text!r}")
        try:
            return cls.from_mapping(settings)
        except ConfigError as error:
            raise ConfigError(f"{CONFIG_VARIABLE}: {error}") from error

    @property
    def hardware(self) -> str:
        """The devices in words, such as ``"2 x Ascend910B3, 8 GiB each"``."""
        return f"{self.devices} x {self.soc}, {self.hbm_bytes / (1 << 30):g} GiB each"

    def describe(self) -> str:
        """Return the devices, and each other setting that is not the default, in one line."""
        settings = ((each.name, getattr(self, each.name), each.default) for each in fields(self))
        other = [
            f"{name}={value}"
            for name, value, default in settings
            if value != default and name not in ("devices", "soc", "hbm_bytes")
        ]
        return ", ".join((self.hardware, *other))

    def to_env(self) -> dict[str, str]:
        """Return the environment variable that hands this configuration to a child process."""
        settings = asdict(self)
        for key in ("tenants", "faults"):  # libascendcl reads no lists
            settings[key] = ";".join(settings[key]) or None
        settings = {key: value for key, value in settings.items() if value is not None}
        return {CONFIG_VARIABLE: json.dumps(settings, ensure_ascii=False)}


def check_schedule(text: str) -> str:
    """Return `text` if it is a schedule.

    Raises
    ------
    ConfigError
        If it is none; the text names those that are valid.
    """
    match = _CHAOS.fullmatch(str(text))
    if match is None or int(match[1]) >= 1 << 64:
        _check_choice("schedule", text, SCHEDULES if text != SCHEDULES[-1] else SCHEDULES[:-1])
    return text


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{name}={value!r} must be an integer from {low} to {high}")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name}={value!r} is not valid{_nearest(str(value), choices)}")


def _texts(tenants: object) -> list[str]:
    """Return the texts of tenants, which travel through the environment as one."""
    texts = tenants.split(";") if isinstance(tenants, str) else tenants
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"tenants={tenants!r} must be texts such as 'streams=700,after=2s'")
    return [text for text in texts if text]


def _nearest(word: str, choices: Iterable[str]) -> str:
    choices = list(choices)
    close = difflib.get_close_matches(word, choices, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} Valid: {', '.join(choices)}" if hint else f"; valid: {', '.join(choices)}"
