# SPDX-License-Identifier: Apache-2.0
"""What the simulator adds to CANN's rules for graphs: it finds out what is undefined there."""

import threading
import time

from acl_abi import Acl


def test_the_groups_of_a_destroyed_graph_are_unknown(acl: Acl) -> None:
    """Undefined on an NPU; here it is found out."""
    stream = acl.stream()
    acl.begin(stream)
    acl.begin_group(stream)
    assert acl.kernel(stream) == 0
    group = acl.end_group(stream)
    acl.ok("aclmdlRIDestroy", acl.end(stream))
    assert acl.aclmdlRICaptureTaskUpdateBegin(acl.stream(), group) == 107017


def test_destroying_a_running_graph_waits_for_it(acl: Acl) -> None:
    """context.cc: software queues."""
    stream, started, trace = acl.stream(), threading.Event(), list[str]()
    acl.begin(stream)
    assert acl.kernel(stream, lambda: (started.set(), time.sleep(0.1), trace.append("done"))) == 0
    graph = acl.end(stream)
    acl.execute(graph, stream)
    assert started.wait(30)
    acl.ok("aclmdlRIDestroy", graph)
    assert trace == ["done"]


def test_two_replays_of_a_graph_at_once_are_counted(acl: Acl) -> None:
    """Undefined on an NPU; here it is reported."""
    one, other = acl.stream(), acl.stream()
    entered = threading.Semaphore(0)
    gate = threading.Event()
    acl.begin(one)
    assert acl.kernel(one, lambda: (entered.release(), gate.wait(30))) == 0
    graph = acl.end(one)
    before = acl.counters()["graph_overlaps"]
    acl.execute(graph, one)
    assert entered.acquire(timeout=30)
    acl.execute(graph, other)
    assert entered.acquire(timeout=30)
    gate.set()
    acl.ok("aclrtSynchronizeDevice")
    assert acl.counters()["graph_overlaps"] == before + 1
