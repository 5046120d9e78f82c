# SPDX-License-Identifier: Apache-2.0
"""Events that cross the border of a graph: the EXTERNAL flag of events, of records and of waits."""

import time

from acl_abi import NONE, Acl
from rules import rule


@rule("case 50", "capture_event_external2")
def test_an_external_event_is_a_node_and_draws_no_stream_in(acl: Acl) -> None:
    origin, other, event = acl.stream(), acl.stream(), acl.external_event()
    acl.begin(origin)
    acl.record(event, origin)
    acl.wait(other, event)
    assert acl.info(other)[0] == NONE
    graph = acl.end(origin)
    acl.execute(graph, origin)
    acl.sync(other)  # the wait on it ends with the replay


@rule("section 1.6", "capture_event_external: wait blocks until recorded, reset arms it again")
def test_an_external_event_is_a_flag_set_and_cleared_when_tasks_run(acl: Acl) -> None:
    producer, consumer, event, trace = acl.stream(), acl.stream(), acl.external_event(), list[str]()
    acl.wait(consumer, event)  # before any record: it blocks
    acl.ok("aclrtResetEvent", event, consumer)
    assert acl.kernel(consumer, lambda: trace.append("first")) == 0
    acl.wait(consumer, event)
    assert acl.kernel(consumer, lambda: trace.append("second")) == 0
    acl.record(event, producer)
    deadline = time.monotonic() + 10
    while trace != ["first"] and time.monotonic() < deadline:
        time.sleep(0.001)
    assert acl.aclrtSynchronizeStreamWithTimeout(consumer, 20) == 507046  # armed again
    acl.record(event, producer)
    acl.sync(consumer)
    assert trace == ["first", "second"]
