# SPDX-License-Identifier: Apache-2.0
"""The command ``ascend-sim``: run a program on simulated NPUs, and say what is simulated."""

import contextlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from ascend_sim import _coverage, _kernel_coverage, _timeline
from ascend_sim._activate import child_environment
from ascend_sim._config import SimConfig
from ascend_sim._counters import read_counters
from ascend_sim._errors import SimError
from ascend_sim._ledger import LEDGER_VARIABLE, LedgerUsage, ledger, make_ledger, running_ledgers
from ascend_sim._library import is_off, library_path, toolkit_path
from ascend_sim._options import OPTIONS, with_options
from ascend_sim._partition import write_partition
from ascend_sim._version import __version__

__all__ = ["main"]


class _Group(click.Group):
    """Errors of the simulator are messages, not tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SimError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ascend-sim")
def main() -> None:
    """CANN's C ABI on the CPU: torch_npu runs on a machine with no NPU."""


@main.command(params=[*OPTIONS], context_settings={"allow_interspersed_args": False})
@click.option(
    "--stats", is_flag=True, help="Print the counters of all processes to stderr at exit."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], stats: bool, **options: Any) -> None:
    """Run COMMAND, and all it starts, on simulated NPUs.

    Example: ascend-sim run --devices 2 --hbm 4GiB -- python train.py
    """
    config = with_options(SimConfig.from_env(), options)
    if is_off():
        click.echo("ascend-sim: switched off (ASCEND_SIM=off), CANN is used as it is", err=True)
        _become(command, os.environ)
    if config.counters_dir is not None:
        Path(config.counters_dir).mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        environ = {**os.environ, **child_environment(config, os.environ), **make_ledger(config)}
        if config.partition is not None:
            folder = tempfile.TemporaryDirectory(prefix="ascend-sim-partition-")
            environ |= write_partition(config.partition, Path(stack.enter_context(folder)))
        if stats:
            sys.exit(_run_with_stats(command, config, environ))
        if config.partition is not None:  # somebody has to remove the folder
            sys.exit(_run_forwarding_signals(command, environ))
    _become(command, environ)


def _become(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    try:
        # Signals and the exit status are then the command's own.
        os.execvpe(command[0], [*command], environ)  # noqa: S606 - the command is the user's
    except OSError as error:
        raise click.ClickException(f"cannot run {command[0]}: {error.strerror}") from error


def _run_with_stats(command: Sequence[str], config: SimConfig, environ: dict[str, str]) -> int:
    with tempfile.TemporaryDirectory(prefix="ascend-sim-") as scratch:
        folder = Path(config.counters_dir or scratch)
        before = set(read_counters(folder))
        config = replace(config, counters_dir=str(folder))
        status = _run_forwarding_signals(command, environ | config.to_env())
        processes = {
            pid: block for pid, block in read_counters(folder).items() if pid not in before
        }
    total: Counter[str] = Counter()
    for block in processes.values():
        total.update(block)
    click.echo(f"ascend-sim: {len(processes)} process(es) used the simulator", err=True)
    for name, value in total.items():
        click.echo(f"  {name:<28}{value:>16,}", err=True)
    return status


def _run_forwarding_signals(command: Sequence[str], environ: dict[str, str]) -> int:
    try:
        process = subprocess.Popen(command, env=environ)
    except OSError as error:
        raise click.ClickException(f"cannot run {command[0]}: {error.strerror}") from error

    def forward(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, forward)
    # A terminal sends Ctrl-C to the command as well: once is enough.
    signal.signal(signal.SIGINT, signal.SIG_IGN if sys.stdin.isatty() else forward)
    status = process.wait()
    return status if status >= 0 else 128 - status


@main.command()
def info() -> None:
    """Show what is installed and what would be simulated."""
    config = SimConfig.from_env()
    click.echo(f"ascend-sim   {__version__}")
    click.echo(f"CANN ABI     {_coverage.cann_version()} (simulated)")
    for distribution in ("torch", "torch_npu"):
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        click.echo(f"{distribution:<13}{version}")
    click.echo(f"libraries    {library_path('libascendcl.so').parent}")
    click.echo(f"toolkit      {toolkit_path()}")
    click.echo(f"devices      {config.hardware}")
    streams, events = config.streams or "the chip's", config.events or "the chip's"
    click.echo(f"limits       {streams} streams, {events} events per device")
    click.echo(f"queues       {config.sq} mode")
    click.echo(f"schedule     {config.schedule}, compute {config.compute}")
    click.echo(f"operators    limits {config.limits}, numerics {config.numerics}")
    click.echo(f"counters     {config.counters_dir or 'in the process only'}")


@main.command("ledger")
@click.argument("path", required=False)
def show_ledger(path: str | None) -> None:
    """Show who holds what of the devices: of one run, by PATH, or of all that run now."""
    if path is None and os.environ.get(LEDGER_VARIABLE):
        path = os.environ[LEDGER_VARIABLE]
    paths = [Path(path)] if path is not None else running_ledgers()
    if not paths:
        click.echo("nothing runs on the simulator")
    for each in paths:
        click.echo(f"{each}")
        click.echo("\n".join(_usage_lines(ledger(each))))


def _usage_lines(usage: LedgerUsage) -> list[str]:
    resources = list(usage.limits)
    rows = [["device", "holder", *resources]]
    holders = [(f"process {process.pid}", process) for process in usage.processes]
    holders += [(f"tenant {number}", tenant) for number, tenant in enumerate(usage.tenants)]
    for device in range(usage.devices):
        for name, holder in holders:
            rows.append([str(device), name, *(f"{holder.used[device][r]:,}" for r in resources)])
        rows.append([str(device), "free", *(f"{usage.free(r, device):,}" for r in resources)])
    rows.append(["", "limit", *(f"{usage.limits[r]:,}" for r in resources)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


@main.command()
@click.option("--library", help="Only this library, such as libascendcl.")
@click.option(
    "--status", type=click.Choice(_coverage.STATUSES), help="Only functions of this status."
)
@click.option("--list", "names", is_flag=True, help="Every function instead of numbers.")
@click.option(
    "--kernels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.so",
    help="Instead: the kernels in a library built with Ascend C, and whether they have a body.",
)
def coverage(library: str | None, status: str | None, names: bool, kernels: Path | None) -> None:
    """Show which functions of the ABI are implemented, approximate, stubs, or absent."""
    if kernels is not None:
        if library is not None or status is not None or names:
            raise click.UsageError("--kernels goes with no other option")
        click.echo("\n".join(_kernel_coverage.listing(_kernel_coverage.kernels(kernels))))
        return
    functions = [
        function
        for function in _coverage.functions()
        if library in (None, function.library) and status in (None, function.status)
    ]
    if not functions:
        known = ", ".join(sorted({function.library for function in _coverage.functions()}))
        raise click.ClickException(f"no such functions; libraries are {known}")
    lines = _coverage.listing(functions) if names else _coverage.summary(functions)
    click.echo("\n".join(lines))


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--draw", "picture", type=click.Path(dir_okay=False), help="Picture: .png, .svg ...")
def trace(file: str, picture: str | None) -> None:
    """Sum up the timeline FILE of `run --timeline`, and draw it.

    Perfetto (ui.perfetto.dev) opens the file as it is.
    """
    timeline = _timeline.read_timeline(file)
    click.echo("\n".join(_timeline.summary(timeline)))
    if picture is not None:
        _timeline.draw(timeline, picture)
        click.echo(f"drawn: {picture}")
