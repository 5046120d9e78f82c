# SPDX-License-Identifier: Apache-2.0
"""The options that describe simulated NPUs, for ``ascend-sim run`` and ``pytest --ascend-sim``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import click

from ascend_sim._config import (
    CHECKS,
    MAX_DEVICES,
    SOCS,
    Compute,
    Limits,
    Numerics,
    Queues,
    SimConfig,
    check_schedule,
)
from ascend_sim._errors import ConfigError, SimError
from ascend_sim._fault import Fault
from ascend_sim._size import parse_size

__all__ = ["OPTIONS", "parse_options", "with_options"]

_Callback = Callable[[click.Context, click.Parameter, Any], Any]


def _read_by(read: Callable[[str], Any]) -> _Callback:
    """Return a callback that reads a value, and has click report what is wrong with it."""

    def callback(_ctx: click.Context, _param: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else read(text)
        except SimError as error:
            raise click.BadParameter(str(error)) from error

    return callback


def _faults(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(Fault.parse(text)) for text in texts)


OPTIONS: tuple[click.Option, ...] = (
    click.Option(["--devices"], type=click.IntRange(1, MAX_DEVICES), help="Number of NPUs."),
    click.Option(["--soc"], type=click.Choice(SOCS), help="SoC to report."),
    click.Option(
        ["--hbm", "hbm_bytes"],
        callback=_read_by(parse_size),
        help="Memory of each device, such as 8GiB.",
    ),
    click.Option(["--streams"], type=click.IntRange(1), help="Hardware streams of each device."),
    click.Option(["--events"], type=click.IntRange(1), help="Events of each device."),
    click.Option(
        ["--tenant", "tenants"],
        multiple=True,
        metavar="SPEC",
        help="Another user of the devices: streams=700,after=2s,steps=7,every=1s. Repeatable.",
    ),
    click.Option(
        ["--partition"],
        metavar="SPEC",
        help="A container's share by the vCANN runtime: aicore=50,memory=4GiB,policy=elastic.",
    ),
    click.Option(
        ["--sq"], type=click.Choice(get_args(Queues)), help="When graphs take hardware queues."
    ),
    click.Option(
        ["--schedule"],
        callback=_read_by(check_schedule),
        metavar="threads|inline|chaos:SEED",
        help="How streams run; chaos: delayed and reordered wherever no rule orders.",
    ),
    click.Option(
        ["--compute"], type=click.Choice(get_args(Compute)), help="off: skip kernel bodies."
    ),
    click.Option(
        ["--limits"],
        type=click.Choice(get_args(Limits)),
        help="off: operators take what those of a device refuse, such as fp32 in fused attention.",
    ),
    click.Option(
        ["--numerics"],
        type=click.Choice(get_args(Numerics)),
        help="npu: round as a device does where that is known to differ.",
    ),
    click.Option(
        ["--check"], type=click.Choice(CHECKS), help="Name races and uses of freed memory."
    ),
    click.Option(
        ["--fault", "faults"],
        multiple=True,
        callback=_read_by(_faults),
        metavar="ACTION:TARGET[,KEY=VALUE]...",
        help="What goes wrong on purpose, such as fail:aclrtMalloc,nth=3. Repeatable.",
    ),
    click.Option(
        ["--timeline"],
        type=click.Path(dir_okay=False),
        help="File for the timeline of all processes, in Chrome's trace format.",
    ),
    click.Option(
        ["--counters", "counters_dir"],
        type=click.Path(file_okay=False),
        help="Folder for counter files.",
    ),
)
"""Each is named after the setting of :class:`SimConfig` that it gives."""


def with_options(config: SimConfig, values: Mapping[str, Any]) -> SimConfig:
    """Return `config` with the options that were given, as click read them.

    Raises
    ------
    ConfigError
        If a value is not valid.
    """
    given = {name: value for name, value in values.items() if value not in (None, ())}
    return replace(config, **given)


def parse_options(arguments: Sequence[str], config: SimConfig) -> SimConfig:
    """Return `config` with options as a command line has them, such as ``["--devices", "2"]``.

    Raises
    ------
    ConfigError
        If an option is unknown or its value not valid.
    """
    command = click.Command("ascend-sim", params=list(OPTIONS), add_help_option=False)
    try:
        return with_options(config, command.make_context(command.name, [*arguments]).params)
    except click.UsageError as error:
        raise ConfigError(error.format_message()) from error
