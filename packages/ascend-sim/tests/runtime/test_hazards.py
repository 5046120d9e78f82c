# SPDX-License-Identifier: Apache-2.0
"""Hazards are named whatever the schedule did; programs without one are not accused."""

from collections.abc import Callable
from typing import Any

import pytest

CHECK = '{"check": "hazards"}'
ERROR = '{"check": "hazards=error"}'

COPY = 'acl.ok("aclrtMemcpyAsync", target, 8, source, 8, 3, two)'
STREAMS = """
one, two = acl.stream(), acl.stream()
source, target = acl.buffer(), acl.buffer()
def order(first, then):
    event = acl.event()
    acl.record(event, first)
    acl.wait(then, event)
"""
NOTIFY = """
from ctypes import byref, c_uint64, c_void_p
def notify(first, then):
    made = c_void_p()
    acl.ok("aclrtCreateNotify", byref(made), c_uint64(0))
    acl.ok("aclrtRecordNotify", made, first)
    acl.ok("aclrtWaitAndResetNotify", made, then, 0)
"""
GRAPH = """
acl.begin(one)
acl.fill(one, source, 1)
graph = acl.end(one)
"""
GROUP = """
acl.begin(one)
acl.begin_group(one)
acl.kernel(one)
group = acl.end_group(one)
graph = acl.end(one)
acl.ok("aclmdlRICaptureTaskUpdateBegin", two, group)
acl.kernel(two)
acl.ok("aclmdlRICaptureTaskUpdateEnd", two)
"""
FINISH = """
acl.ok("aclrtSynchronizeDevice")
"""

# A program with a hazard, what the report says of it, and the line that mends it.
HAZARDS = {
    "write, then read": (
        STREAMS + "acl.fill(one, source, 1)\n{mend}\n" + COPY,
        ("aclrtMemcpyAsync on stream", "8 bytes at", "aclrtMemsetAsync on stream", "writes"),
        "order(one, two)",
    ),
    "write, then read, with a notify": (
        STREAMS + NOTIFY + "acl.fill(one, source, 1)\n{mend}\n" + COPY,
        ("aclrtMemcpyAsync on stream", "8 bytes at", "aclrtMemsetAsync on stream", "writes"),
        "notify(one, two)",
    ),
    "read, then write": (
        STREAMS + COPY + "\n{mend}\nacl.fill(one, source, 1)",
        ("aclrtMemsetAsync on stream", "aclrtMemcpyAsync on stream", "record an event"),
        "order(two, one)",
    ),
    "host read": (
        STREAMS + "acl.fill(one, source, 1)\n{mend}\nacl.byte(source)",
        ("aclrtMemcpy on the host", "aclrtMemsetAsync on stream", "synchronize the stream"),
        "acl.sync(one)",
    ),
    "free while in use": (
        STREAMS
        + "gate = acl.block(one)\nacl.fill(one, source, 1)\n{mend}\n"
        + "acl.ok('aclrtFree', source)\ngate.open()",
        ("freed", "aclrtMemsetAsync on stream"),
        "gate.open(); acl.sync(one)",
    ),
    "one graph on two streams": (
        STREAMS + GRAPH + "acl.execute(graph, one)\n{mend}\nacl.execute(graph, two)",
        ("a replay of graph", "uses the same graph"),
        "order(one, two)",
    ),
    "update and replay": (
        STREAMS + GROUP + "{mend}\nacl.execute(graph, one)",
        ("the update of ascendSimLaunchHostTask", "the replay of ascendSimLaunchHostTask"),
        "order(two, one)",
    ),
    "lanes of a graph": (
        STREAMS
        + "acl.begin(one)\nacl.fork(one, two)\nacl.fill(one, source, 1)\n{mend}\n"
        + COPY
        + "\nacl.join(two, one)\nacl.execute(acl.end(one), one)",
        ("aclrtMemcpyAsync on lane 1 of graph", "aclrtMemsetAsync on stream"),
        "acl.fork(one, two)",
    ),
}


@pytest.fixture
def report(program: Callable[..., Any]) -> Callable[..., str]:
    """Run a program with a configuration; return what it wrote to stderr."""
    return lambda code, config=CHECK: program(code, config).stderr


@pytest.mark.parametrize("name", HAZARDS)
def test_a_hazard_is_named_with_both_operations(report: Callable[..., str], name: str) -> None:
    program, words, _ = HAZARDS[name]
    text = report(program.format(mend="") + FINISH)
    lines = [line for line in text.splitlines() if line.startswith("ascend-sim: hazard: ")]
    assert any(all(word in line for word in words) for line in lines), text


@pytest.mark.parametrize("name", HAZARDS)
def test_the_mended_program_is_not_accused(report: Callable[..., str], name: str) -> None:
    program, _, mend = HAZARDS[name]
    assert report(program.format(mend=mend) + FINISH) == ""


def test_a_graph_on_memory_that_was_freed_is_named(report: Callable[..., str]) -> None:
    text = report(
        STREAMS
        + GRAPH
        + "acl.ok('aclrtFree', source)\nacl.execute(graph, one)\nacl.aclrtSynchronizeDevice()"
    )
    assert "aclrtMemsetAsync on stream" in text
    assert "which is not allocated" in text


def test_a_graph_on_memory_that_is_another_block_now_is_named(
    report: Callable[..., str],
) -> None:
    text = report(
        STREAMS
        + GRAPH
        + """
address = source.value
acl.ok("aclrtFree", source)
blocks = [acl.buffer() for _ in range(3)]  # the same address is given out again
assert address in [block.value for block in blocks]
acl.execute(graph, one)
acl.sync(one)
"""
    )
    assert "freed and allocated again after the graph was captured" in text


def test_a_hazard_is_named_once_and_counted_every_time(report: Callable[..., str]) -> None:
    text = report(
        STREAMS
        + """
for _ in range(3):
    acl.fill(one, source, 1)
    acl.fill(two, source, 2)
    acl.ok("aclrtSynchronizeDevice")
assert acl.counters()["hazards"] >= 3, acl.counters()
"""
    )
    lines = [line for line in text.splitlines() if "hazard" in line]
    assert len(lines) == len(set(lines)) <= 2


def test_a_hazard_can_be_an_error_of_the_next_synchronization(report: Callable[..., str]) -> None:
    report(
        STREAMS
        + "acl.fill(one, source, 1)\n"
        + COPY
        + """
assert acl.aclrtSynchronizeDevice() == 507000
assert "hazard: " in acl.message()
""",
        ERROR,
    )


@pytest.mark.parametrize(
    "order",
    [
        "order(one, two)",
        "acl.sync(one)",
        "acl.ok('aclrtSynchronizeDevice')",
        "event = acl.event(); acl.record(event, one); acl.ok('aclrtSynchronizeEvent', event)",
        "event = acl.event(); acl.record(event, one)\nwhile not acl.complete(event): pass",
        "acl.ok('aclrtValueWrite', word, 1, 0, one); acl.ok('aclrtValueWait', word, 1, 1, two)",
        "event = acl.external_event(); acl.record(event, one); acl.wait(two, event)",
        "order(one, three); order(three, two)",
    ],
)
def test_every_way_to_order_work_is_known(report: Callable[..., str], order: str) -> None:
    program = STREAMS + "three, word = acl.stream(), acl.buffer()\nacl.fill(one, source, 1)\n"
    assert report(program + order + "\n" + COPY + FINISH) == ""


def test_a_wait_for_an_event_that_is_complete_orders_too(report: Callable[..., str]) -> None:
    program = STREAMS + "acl.fill(one, source, 1)\nevent = acl.event(); acl.record(event, one)\n"
    pause = "import time; time.sleep(0.2)\nacl.wait(two, event)\n"
    assert report(program + pause + COPY + FINISH) == ""


def test_nothing_is_said_without_the_option(report: Callable[..., str]) -> None:
    program, _, _ = HAZARDS["write, then read"]
    assert report(program.format(mend="") + FINISH, "{}") == ""
