# SPDX-License-Identifier: Apache-2.0
"""The chaos schedule: what no rule orders is reordered, what a rule orders never is."""

from collections.abc import Callable

import pytest

CHAOS = '{"schedule": "chaos:0", "check": "off"}'

# Programs that put work on streams and give what came of it, beside the answer of a device that
# keeps to the order in which the work was launched.
PRODUCER_CONSUMER = """
SIZE = 64
def program(wait):
    one, two = acl.stream(), acl.stream()
    source, target, event = acl.buffer(SIZE), acl.buffer(SIZE), acl.event()
    for value in range(1, 6):
        acl.fill(one, source, value, SIZE)
        acl.record(event, one)
        if wait:
            acl.wait(two, event)
        acl.ok("aclrtMemcpyAsync", target, SIZE, source, SIZE, 3, two)
        back = acl.event()
        acl.record(back, two)
        acl.wait(one, back)
    acl.sync(two)
    return acl.byte(target)
RIGHT = 5
"""
UPDATE_AND_REPLAY = """
def program(wait):
    stream, updater, seen = acl.stream(), acl.stream(), []
    acl.begin(stream)
    acl.begin_group(stream)
    acl.kernel(stream, lambda: seen.append("old"))
    group = acl.end_group(stream)
    graph = acl.end(stream)
    acl.ok("aclmdlRICaptureTaskUpdateBegin", updater, group)
    acl.kernel(updater, lambda: seen.append("new"))
    acl.ok("aclmdlRICaptureTaskUpdateEnd", updater)
    if wait:
        event = acl.event()
        acl.record(event, updater)
        acl.wait(stream, event)
    acl.execute(graph, stream)
    acl.sync(stream)
    acl.sync(updater)
    return seen
RIGHT = ["new"]
"""
LANES_OF_A_GRAPH = """
def program(wait):
    one, two = acl.stream(), acl.stream()
    seen = []
    acl.begin(one)
    acl.fork(one, two)
    acl.kernel(one, lambda: seen.append("first"))
    if wait:
        acl.fork(one, two)
    acl.kernel(two, lambda: seen.append("second"))
    acl.join(two, one)
    graph = acl.end(one)
    acl.execute(graph, one)
    acl.sync(one)
    return seen
RIGHT = ["first", "second"]
"""
HOST_READ = """
def program(wait):
    stream, buffer = acl.stream(), acl.buffer()
    for _ in range(5):
        acl.fill(stream, buffer, 7)
    if wait:
        acl.sync(stream)
    return acl.byte(buffer)
RIGHT = 7
"""
NOTIFIES = """
from ctypes import byref, c_uint64, c_void_p
def notify():
    made = c_void_p()
    acl.ok("aclrtCreateNotify", byref(made), c_uint64(0))
    return made
written, read = notify(), notify()
def program(wait):
    one, two = acl.stream(), acl.stream()
    source, target = acl.buffer(), acl.buffer()
    for value in range(1, 6):
        acl.fill(one, source, value)
        if wait:
            acl.ok("aclrtRecordNotify", written, one)
            acl.ok("aclrtWaitAndResetNotify", written, two, 0)
        acl.ok("aclrtMemcpyAsync", target, 8, source, 8, 3, two)
        if wait:
            acl.ok("aclrtRecordNotify", read, two)
            acl.ok("aclrtWaitAndResetNotify", read, one, 0)
    acl.sync(two)
    acl.sync(one)
    return acl.byte(target)
RIGHT = 5
"""
PROGRAMS = {
    "two streams": PRODUCER_CONSUMER,
    "update and replay": UPDATE_AND_REPLAY,
    "lanes of a graph": LANES_OF_A_GRAPH,
    "host read": HOST_READ,
    "notifies": NOTIFIES,
}
OVER_SEEDS = """
wrong = 0
for seed in range({seeds}):
    acl.ok("ascendSimReseed", ctypes.c_uint64(seed))
    wrong += program(wait={wait}) != RIGHT
print(wrong)
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_missing_wait_is_found_within_few_seeds(process: Callable[..., str], name: str) -> None:
    program = "import ctypes\n" + PROGRAMS[name] + OVER_SEEDS.format(seeds=10, wait=False)
    assert int(process(program, CHAOS)) > 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_right_program_is_right_with_every_seed(process: Callable[..., str], name: str) -> None:
    program = "import ctypes\n" + PROGRAMS[name] + OVER_SEEDS.format(seeds=200, wait=True)
    assert process(program, CHAOS) == "0\n"


MANY_STREAMS = """
import ctypes
def program():
    seen = []
    streams = [acl.stream() for _ in range(4)]
    events = [acl.event() for _ in range(40)]
    for step in range(40):
        stream = streams[step % 4]
        acl.kernel(stream, lambda step=step: seen.append(step))
        acl.record(events[step], stream)
        if step % 3 == 0:
            acl.wait(streams[(step + 1) % 4], events[step])
    acl.ok("aclrtSynchronizeDevice")
    return seen
"""


def test_a_seed_gives_the_same_order_in_every_process(process: Callable[..., str]) -> None:
    orders = [
        process(MANY_STREAMS + "print(program())", f'{{"schedule": "chaos:{seed}"}}')
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_a_new_seed_starts_the_schedule_anew(process: Callable[..., str]) -> None:
    """The streams of the second round are others, but the same number of them are made."""
    alone = process(
        MANY_STREAMS
        + """
streams = [acl.stream() for _ in range(4)]
def again():
    seen = []
    for step in range(40):
        acl.kernel(streams[step % 4], lambda step=step: seen.append(step))
    acl.ok("aclrtSynchronizeDevice")
    return seen
orders = []
for seed in (5, 6, 5):
    acl.ok("ascendSimReseed", ctypes.c_uint64(seed))
    orders.append(again())
print(orders[0] == orders[2], orders[0] == orders[1])
""",
        CHAOS,
    )
    assert alone.split() == ["True", "False"]


def test_streams_fall_far_behind_each_other(process: Callable[..., str]) -> None:
    """Long delays find more than many short ones."""
    out = process(
        """
        import ctypes, itertools
        streams = [acl.stream() for _ in range(2)]
        longest = 0
        for seed in range(20):
            acl.ok("ascendSimReseed", ctypes.c_uint64(seed))
            seen = []
            for step in range(100):
                acl.kernel(streams[step % 2], lambda step=step: seen.append(step % 2))
            acl.ok("aclrtSynchronizeDevice")
            longest = max(longest, *(len(list(run)) for _, run in itertools.groupby(seen)))
        print(longest)
        """,
        CHAOS,
    )
    assert int(out) >= 20


def test_the_device_goes_on_while_the_host_waits_in_its_own_way(
    process: Callable[..., str],
) -> None:
    out = process(
        """
        import threading
        done = threading.Event()
        acl.host(acl.stream(), done.set)
        print(done.wait(30))
        """,
        CHAOS,
    )
    assert out == "True\n"


def test_a_host_function_may_wait_for_another_stream(process: Callable[..., str]) -> None:
    out = process(
        """
        import threading
        done = threading.Event()
        one, two = acl.stream(), acl.stream()
        acl.host(one, lambda: print(done.wait(30)))
        acl.host(two, done.set)
        acl.ok("aclrtSynchronizeDevice")
        """,
        CHAOS,
    )
    assert out == "True\n"


def test_only_a_chaos_schedule_has_a_seed(process: Callable[..., str]) -> None:
    out = process("print(acl.ascendSimReseed(1), 'chaos:SEED' in acl.message())")
    assert out == "100000 True\n"
