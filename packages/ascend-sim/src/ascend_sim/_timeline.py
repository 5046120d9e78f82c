# SPDX-License-Identifier: Apache-2.0
"""Timelines: what the simulator wrote down with ``ascend-sim run --timeline FILE``, read again.

The file is in Chrome's trace format, which Perfetto and ``chrome://tracing`` open. Times are in
microseconds of the host's monotonic clock.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from ascend_sim._errors import TimelineError

__all__ = ["Replays", "Span", "Timeline", "Track", "draw", "read_timeline", "summary"]

_IDLE = ("wait", "synchronize", "replay", "capture", "update")
"""Categories in which a track waits, or that stand around the work of others."""


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work.

    Parameters
    ----------
    name : str
        The ABI function that launched it.
    category : str
        ``kernel``, ``memcpy``, ``wait``, ``replay`` and so on.
    begin, end : float
        In microseconds since the beginning of the timeline.
    graph : int, optional
        The graph that was captured or replayed.
    """

    name: str
    category: str
    begin: float
    end: float
    graph: int | None = None


@dataclass(slots=True)
class Track:
    """A stream, a lane of a graph's replays, or a host thread of one process."""

    process: str
    name: str
    spans: list[Span] = field(default_factory=list)

    def busy(self) -> list[tuple[float, float]]:
        """Return the intervals in which the track worked, in microseconds, in order, disjoint."""
        merged: list[tuple[float, float]] = []
        for begin, end in sorted((s.begin, s.end) for s in self.spans if s.category not in _IDLE):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        return merged

    def gaps(self) -> list[float]:
        """Return the lengths of the pauses between busy intervals, in microseconds."""
        busy = self.busy()
        return [after[0] - before[1] for before, after in pairwise(busy)]


@dataclass(frozen=True, slots=True)
class Replays:
    """All replays of one graph; times in microseconds."""

    process: str
    graph: int
    count: int
    total: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """All tracks, and what the writers had no room for."""

    tracks: list[Track]
    dropped: int

    def replays(self) -> list[Replays]:
        """Return the replays of every graph, in order of process and graph."""
        times: dict[tuple[str, int], list[float]] = defaultdict(list)
        for track in self.tracks:
            for span in track.spans:
                if span.category == "replay" and span.graph is not None:
                    times[track.process, span.graph].append(span.end - span.begin)
        return [Replays(*key, len(each), sum(each)) for key, each in sorted(times.items())]


def read_timeline(path: str | Path) -> Timeline:
    """Read a timeline.

    Parameters
    ----------
    path : path
        As ``ascend-sim run --timeline`` wrote it, also while it is being written: the list need not
        be closed and the last line may be cut.

    Raises
    ------
    TimelineError
        If the file is no timeline, or has no spans.
    """
    lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0].strip() != "[":
        raise TimelineError(f"{path} is not a timeline of ascend-sim: it does not begin with '['")
    events = list(_events(path, lines[1:]))
    start = min((event["ts"] for event in events if "ts" in event), default=None)
    if start is None:
        raise TimelineError(f"{path} has no events: no work was launched on a simulated device")
    names: dict[tuple[int, int], str] = {}
    processes: dict[int, str] = {}
    for event in events:
        if event["name"] == "thread_name":
            names[event["pid"], event["tid"]] = event["args"]["name"]
        elif event["name"] == "process_name":
            processes[event["pid"]] = event["args"]["name"]
    tracks: dict[tuple[int, int], Track] = {}
    dropped = 0
    for event in events:
        key = event["pid"], event["tid"]
        if event.get("cat") == "timeline":
            dropped += int(event["name"].split()[0])
        if event["ph"] != "X":
            continue
        track = tracks.setdefault(key, Track(processes[key[0]], names[key]))
        begin = event["ts"] - start
        graph = event.get("args", {}).get("graph")
        track.spans.append(Span(event["name"], event["cat"], begin, begin + event["dur"], graph))
    ordered = sorted(tracks.values(), key=lambda track: (track.process, track.name))
    return Timeline(ordered, dropped)


def _events(path: str | Path, lines: Sequence[str]) -> Iterable[dict[str, Any]]:
    for number, line in enumerate(lines, start=2):
        text = line.strip().rstrip(",")
        if text in ("", "]"):
            continue
        try:
            yield json.loads(text)
        except json.JSONDecodeError as error:
            if number == len(lines) + 1:
                return  # the writer was stopped in the middle of it
            raise TimelineError(f"{path}, line {number}: {error}") from error


def summary(timeline: Timeline) -> list[str]:
    """Return lines with a table of the tracks and one of the graphs; times in milliseconds."""
    lines = [f"{'track':<46}{'spans':>8}{'busy ms':>12}{'gaps':>8}{'longest gap ms':>16}"]
    for track in timeline.tracks:
        busy = sum(end - begin for begin, end in track.busy())
        gaps = track.gaps()
        longest = max(gaps, default=0.0)
        lines.append(
            f"{f'{track.process}: {track.name}':<46}{len(track.spans):>8}{busy / 1e3:>12.3f}"
            f"{len(gaps):>8}{longest / 1e3:>16.3f}"
        )
    replays = timeline.replays()
    if replays:
        lines += ["", f"{'graph':<46}{'replays':>8}{'total ms':>12}{'mean ms':>12}"]
    for each in replays:
        mean = each.total / each.count
        lines.append(
            f"{f'{each.process}: graph {each.graph}':<46}{each.count:>8}{each.total / 1e3:>12.3f}"
            f"{mean / 1e3:>12.3f}"
        )
    if timeline.dropped:
        lines += ["", f"{timeline.dropped} events were dropped: the timeline is not whole"]
    return lines


def draw(timeline: Timeline, path: str | Path) -> None:
    """Draw the tracks as bars over time.

    Parameters
    ----------
    path : path
        The picture; its suffix says in which format, such as ``.png`` or ``.svg``.

    Raises
    ------
    TimelineError
        If matplotlib, which the extra ``ascend-sim[trace]`` brings, is missing, or does not know
        the format.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise TimelineError("drawing needs matplotlib: pip install 'ascend-sim[trace]'") from error
    tracks = timeline.tracks
    categories = sorted({span.category for track in tracks for span in track.spans})
    figure = Figure(figsize=(14, 1.5 + 0.3 * len(tracks)), layout="constrained")
    axes = figure.subplots()
    for number, category in enumerate(categories):
        for row, track in enumerate(tracks):
            bars = [
                (s.begin / 1e3, (s.end - s.begin) / 1e3)
                for s in track.spans
                if s.category == category
            ]
            label = category if row == 0 else None
            axes.broken_barh(bars, (row - 0.4, 0.8), color=f"C{number}", label=label)
    axes.set_yticks(range(len(tracks)), [f"{t.process}: {t.name}" for t in tracks])
    axes.invert_yaxis()
    axes.set_xlabel("ms")
    figure.legend(loc="outside upper center", ncols=len(categories))
    try:
        figure.savefig(path)
    except ValueError as error:
        raise TimelineError(f"cannot draw {path}: {error}") from error
