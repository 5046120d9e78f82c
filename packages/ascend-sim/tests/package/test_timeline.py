# SPDX-License-Identifier: Apache-2.0
"""What ran when: written by the runtime, read back, summed up and drawn."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ascend_sim import TimelineError, read_timeline

# Two streams, ordered by an event; a graph of a fork and a join, replayed three times.
PROGRAM = """
import ctypes, ascend_sim
ascend_sim.activate(ascend_sim.SimConfig(timeline={path!r}))
acl = ctypes.CDLL("libascendcl.so")
def ok(code): assert code == 0, code
def made(function, *arguments):
    handle = ctypes.c_void_p()
    ok(function(ctypes.byref(handle), *arguments))
    return handle
ok(acl.aclInit(None)); ok(acl.aclrtSetDevice(0))
one, two = made(acl.aclrtCreateStream), made(acl.aclrtCreateStream)
fork, join, order = (made(acl.aclrtCreateEventExWithFlag, 1) for _ in range(3))
memory = made(acl.aclrtMalloc, ctypes.c_size_t(4096), 0)
size = ctypes.c_size_t(4096)
def fill(stream): ok(acl.aclrtMemsetAsync(memory, size, 0, size, stream))
fill(one); ok(acl.aclrtRecordEvent(order, one))
ok(acl.aclrtStreamWaitEvent(two, order)); fill(two)
ok(acl.aclrtSynchronizeDevice())
ok(acl.aclmdlRICaptureBegin(one, 2))
fill(one); ok(acl.aclrtRecordEvent(fork, one)); ok(acl.aclrtStreamWaitEvent(two, fork))
fill(two); ok(acl.aclrtRecordEvent(join, two)); ok(acl.aclrtStreamWaitEvent(one, join))
graph = ctypes.c_void_p()
ok(acl.aclmdlRICaptureEnd(one, ctypes.byref(graph)))
for _ in range(3): ok(acl.aclmdlRIExecuteAsync(graph, one))
ok(acl.aclrtSynchronizeDevice())
"""


@pytest.fixture
def timeline(python: Callable[[str], str], tmp_path: Path) -> Path:
    path = tmp_path / "timeline.json"
    python(PROGRAM.format(path=str(path)))
    return path


def events(path: Path) -> list[dict[str, object]]:
    return json.loads(path.read_text().rstrip().rstrip(",") + "]")


def test_the_file_is_in_chromes_format(timeline: Path) -> None:
    written = events(timeline)
    assert {event["ph"] for event in written} == {"M", "X", "s", "f"}
    for event in written:
        assert {"name", "ph", "pid", "tid"} <= event.keys()
        assert event["ph"] == "M" or event["ts"] > 0


def test_each_arrow_goes_from_a_record_to_a_later_wait(timeline: Path) -> None:
    arrows = [event for event in events(timeline) if event["ph"] in "sf"]
    begun = {event["id"]: event["ts"] for event in arrows if event["ph"] == "s"}
    ended = [event for event in arrows if event["ph"] == "f"]
    # Fork and join of each replay; the wait between the streams may find its event complete.
    assert len(ended) - 3 * 2 in (0, 1)
    assert all(begun[event["id"]] <= event["ts"] for event in ended)


def test_streams_lanes_and_replays_are_read_back(timeline: Path) -> None:
    read = read_timeline(timeline)
    by_name = {track.name: track for track in read.tracks}
    fills = {
        name: sum(span.name == "aclrtMemsetAsync" for span in track.spans)
        for name, track in by_name.items()
    }
    lanes = [number for name, number in fills.items() if "lane" in name]
    streams = [number for name, number in fills.items() if "stream" in name]
    assert lanes == [3, 3]
    assert sorted(streams)[-2:] == [1, 1]
    (replays,) = read.replays()
    assert replays.count == 3
    assert [span.category for track in read.tracks for span in track.spans].count("capture") == 1
    assert read.dropped == 0


def test_a_timeline_that_was_cut_is_read_up_to_there(timeline: Path) -> None:
    whole = read_timeline(timeline)
    timeline.write_bytes(timeline.read_bytes()[:-20])
    cut = read_timeline(timeline)
    assert 0 < sum(len(t.spans) for t in cut.tracks) <= sum(len(t.spans) for t in whole.tracks)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{}", "does not begin with"), ("[\n", "no events"), ("[\n{\n{}\n", "line 2")],
)
def test_what_is_no_timeline_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(TimelineError, match=message):
        read_timeline(path)


def test_busy_time_joins_what_overlaps_and_leaves_out_waits(tmp_path: Path) -> None:
    def span(name: str, category: str, begin: float, length: float) -> str:
        event = {"name": name, "cat": category, "ph": "X", "ts": begin, "dur": length}
        return json.dumps({**event, "pid": 1, "tid": 1}) + ",\n"

    names = [
        {"name": "process_name", "ph": "M", "args": {"name": "p"}, "pid": 1, "tid": 0},
        {"name": "thread_name", "ph": "M", "args": {"name": "t"}, "pid": 1, "tid": 1},
    ]
    path = tmp_path / "file.json"
    path.write_text(
        "[\n"
        + "".join(json.dumps(name) + ",\n" for name in names)
        + span("a", "kernel", 10, 5)
        + span("b", "kernel", 12, 8)
        + span("w", "wait", 20, 10)
        + span("c", "memcpy", 30, 1)
    )
    (track,) = read_timeline(path).tracks
    assert track.busy() == [(0, 10), (20, 21)]
    assert track.gaps() == [10]


def test_the_command_sums_up_and_draws(cli, timeline: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra ascend-sim[trace] is not installed")
    picture = tmp_path / "timeline.svg"
    result = cli("trace", str(timeline), "--draw", str(picture))
    assert "graph" in result.stdout
    assert "memset" in picture.read_text()
