# SPDX-License-Identifier: Apache-2.0
"""What a graph tells of itself: streams, tasks, names, JSON."""

import ctypes
import json
from ctypes import byref, c_uint32, c_void_p
from pathlib import Path

from acl_abi import Acl
from rules import rule


@rule("case 56", "model.cc; model_get_streams_abnormal")
def test_get_streams_counts_fills_and_refuses_short_arrays(acl: Acl) -> None:
    origin, branch, number = acl.stream(), acl.stream(), c_uint32()
    acl.begin(origin)
    acl.fork(origin, branch)
    acl.join(branch, origin)
    graph = acl.end(origin)
    acl.ok("aclmdlRIGetStreams", graph, None, byref(number))
    assert number.value == 2
    streams, number = (c_void_p * 3)(1, 1, 1), c_uint32(3)
    acl.ok("aclmdlRIGetStreams", graph, streams, byref(number))
    assert len({*streams}) == 3
    assert streams[2] is None
    assert not {*streams} & {origin.value, branch.value}  # the graph's own
    assert acl.aclmdlRIGetStreams(graph, streams, byref(c_uint32(1))) == 107039


@rule("section 1.9", "stream.cc, model_aclgraph.cc")
def test_json_print_writes_one_trace_event_per_task(acl: Acl, tmp_path: Path) -> None:
    stream, buffer, path = acl.stream(), acl.buffer(), tmp_path / "graph.json"
    acl.begin(stream)
    acl.fill(stream, buffer, 1)
    assert acl.kernel(stream) == 0
    graph = acl.end(stream)
    acl.ok("aclmdlRIDebugJsonPrint", graph, str(path).encode(), 0)
    events = json.loads(path.read_text())
    assert [event["args"]["Task Id"] for event in events] == [0, 1]
    assert [event["ph"] for event in events] == ["X", "X"]
    assert events[0]["pid"].endswith("aclGraph")


@rule("case 58", "ModelDebugJsonPrint_Error_01")
def test_json_print_to_a_missing_directory_is_107000(acl: Acl, tmp_path: Path) -> None:
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    assert acl.aclmdlRIDebugJsonPrint(graph, str(tmp_path / "no" / "x.json").encode(), 0) == 107000
    assert acl.aclmdlRIDebugJsonPrint(graph, b"", 0) == 107000


@rule("section 1.9", "model_ri.cpp")
def test_graphs_have_names_and_different_ids(acl: Acl) -> None:
    stream, ids = acl.stream(), []
    for _ in range(2):
        acl.begin(stream)
        graph, number = acl.end(stream), c_uint32()
        acl.ok("aclmdlRIGetId", graph, byref(number))
        ids.append(number.value)
    assert ids[0] != ids[1]
    name = ctypes.create_string_buffer(16)
    acl.ok("aclmdlRISetName", graph, b"decode")
    acl.ok("aclmdlRIGetName", graph, 16, name)
    assert name.value == b"decode"
    assert acl.aclmdlRIGetName(graph, 3, name) == 107000
