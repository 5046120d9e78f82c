# SPDX-License-Identifier: Apache-2.0
"""`ascend-doctor`: what is on this machine, what is wrong with it, and what to do about it."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from enum import Enum

import click

from ascend_core import versions
from ascend_core._partition import Partition
from ascend_core._probe import Probe, probe
from ascend_core._version import __version__
from ascend_core._visible_devices import VisibleDevicesError, check_visible_devices
from ascend_core.errors import AclLibraryNotFoundError, AscendError

__all__ = ["main"]


@click.command(name="ascend-doctor")
@click.option(
    "--device",
    type=click.IntRange(min=0),
    help="Ask this device for its streams and memory; opens a context on it for a moment.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.version_option(__version__)
def main(device: int | None, as_json: bool) -> None:
    """Print what is on this machine and what is wrong with it; exit with 1 if anything is."""
    found, problems = examine(device)
    if as_json:
        fields = dataclasses.asdict(found) if found else {}
        click.echo(json.dumps({**fields, "problems": problems}, indent=2, default=_plain))
    else:
        click.echo(_report(found, problems))
    sys.exit(1 if problems else 0)


def examine(device: int | None = None) -> tuple[Probe | None, list[str]]:
    """Probe the machine and list what is wrong.

    Parameters
    ----------
    device
        The device to ask for streams and memory; None asks none.

    Returns
    -------
    tuple
        The probe (None if it failed) and the problems, each a text that says what to do.
    """
    problems = list(_version_problems())
    found, failure = _try_probe(device)
    if failure and device is not None:
        # A device that does not answer must not hide what can be said without it.
        found, _ = _try_probe(None)
    if failure:
        problems.append(failure)
    if found:
        problems.extend(_device_problems(found))
    return found, problems


def _try_probe(device: int | None) -> tuple[Probe | None, str]:
    try:
        return probe(streams=device is not None, device=device or 0), ""
    except AscendError as error:
        return None, str(error)


def _version_problems() -> Iterator[str]:
    needed = ["torch", "torch_npu"]
    if versions.installed("vllm") or versions.installed(versions.PLUGIN):
        needed.append("vllm")
    checks: tuple[Callable[[], None], ...] = (
        lambda: versions.check(*needed),
        versions.check_conflicts,
    )
    for check in checks:
        try:
            check()
        except AscendError as error:
            yield str(error)


def _device_problems(found: Probe) -> Iterator[str]:
    if found.library_error is not None:
        yield str(AclLibraryNotFoundError(found.library_error))
    else:
        yield from _count_problems(found.device_count)
    if found.partition is not None and not found.partition.enforced:
        yield (
            "the container has a partition of the device, but the library that enforces it is not "
            "in /etc/ld.so.preload: this process can take more than its share. Have the container "
            "started again by the cluster's device plugin."
        )


def _count_problems(count: int) -> Iterator[str]:
    try:
        check_visible_devices(count)
    except VisibleDevicesError as error:
        yield str(error)
    else:
        if count == 0:
            yield (
                "libascendcl sees no device: check `npu-smi info` and the devices given to this "
                "container."
            )


def _report(found: Probe | None, problems: list[str]) -> str:
    rows = list(_rows(found)) if found else []
    width = max((len(label) for label, _ in rows), default=0)
    lines = [f"{label:<{width}}  {value}" for label, value in rows]
    lines.append("")
    if problems:
        for number, problem in enumerate(problems, start=1):
            lines.append(f"problem {number}: " + problem.replace("\n", "\n  "))
    else:
        lines.append("No problem found.")
    return "\n".join(lines)


def _rows(found: Probe) -> Iterator[tuple[str, str]]:
    for field in dataclasses.fields(found.versions):
        yield field.name, getattr(found.versions, field.name) or "not found"
    kind = " (simulated)" if found.simulated else ""
    yield "devices", f"{found.device_count} x {found.soc}{kind}" if found.soc else "none"
    yield "partition", _describe(found.partition)
    if found.memory is not None:
        free, total = (size / 2**30 for size in (found.memory.free, found.memory.total))
        yield f"device {found.device}: memory", f"{free:.1f} GiB free of {total:.1f} GiB"
        yield f"device {found.device}: streams", f"{found.streams_available} available"
    else:
        yield "streams, memory", "not asked (--device N)"


def _describe(partition: Partition | None) -> str:
    if partition is None:
        return "none: the whole device"
    return (
        f"{partition.aicore_quota} % of the cores ({partition.policy.name.lower()}), "
        f"{partition.memory_quota} MB"
    )


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.name.lower()
    raise TypeError(f"{type(value).__name__} has no JSON form")
