# SPDX-License-Identifier: Apache-2.0
"""Captures that fail: which error, with what in it, and that the next capture works."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import traceback

import ascend_sim
import pytest
import torch
from ascend_core._acl_codes import CODES
from ascend_core.errors import (
    AclCaptureError,
    AclError,
    AclOutOfEvents,
    AclOutOfStreams,
    class_of,
)

from ascend_aclgraph import CaptureError, CaptureOptions, Graph, MemoryPool
from ascend_aclgraph.errors import DumpError


@pytest.fixture(autouse=True)
def a_later_capture_works(clean_device):
    yield
    x = torch.ones(2, device="npu")
    with Graph.capture(lambda: x + 1) as graph:
        assert graph.replay().tolist() == [2.0, 2.0]


def test_an_error_of_the_function_is_the_cause():
    def fn():
        raise ValueError("bad shape")

    with pytest.raises(CaptureError, match=r"graph \('decode', 8\) failed") as caught:
        Graph.capture(fn, options=CaptureOptions(warmup=0), label=("decode", 8))
    error = caught.value
    assert isinstance(error, AclError)
    assert (error.code, error.name, error.label) == (0, "NONE", ("decode", 8))
    assert isinstance(error.__cause__, ValueError)
    assert "ValueError: bad shape" in str(error)
    assert "Try: " in str(error)


@pytest.mark.parametrize("code", CODES)
def test_a_failed_capture_is_also_an_error_of_its_codes_family(code):
    error = CaptureError(code, "aclmdlRICaptureBegin", label=8, advice=["capture fewer sizes"])
    assert isinstance(error, class_of(code))
    assert error.family is CODES[code].family


def test_a_failed_capture_without_a_known_code_is_of_no_family():
    assert type(CaptureError(0, "the captured function")) is CaptureError
    assert type(CaptureError(999999, "aclmdlRICaptureBegin")) is CaptureError


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_failed_capture_travels_between_processes(copied):
    error = CaptureError(
        207008, "aclmdlRICaptureBegin", "1984 are in use", label=8, advice=["less"]
    )
    other = copied(error)
    assert type(other) is type(error)
    assert str(other) == str(error)


def test_a_broken_rule_of_capture_is_both_of_the_errors_that_are_called_so():
    x = torch.ones(4, device="npu")
    with pytest.raises(AclCaptureError) as caught:
        Graph.capture(lambda: (x + 1).cpu(), options=CaptureOptions(warmup=0))
    assert isinstance(caught.value, CaptureError)


@pytest.mark.parametrize(
    ("fault", "name", "family"),
    [
        ("fail:aclmdlRICaptureBegin,code=207005", "OUT_OF_QUEUES", AclOutOfStreams),
        ("fail:aclmdlRICaptureBegin,code=207008", "OUT_OF_STREAM_IDS", AclOutOfStreams),
        ("fail:aclmdlRICaptureBegin,code=207009", "OUT_OF_NOTIFIES", AclOutOfEvents),
    ],
)
def test_a_resource_that_is_used_up_is_reported_alone(fault, name, family):
    """torch_npu remarks "Failed to apply for memory" on all of them."""
    x = torch.ones(2, device="npu")
    with ascend_sim.inject(fault), pytest.raises(CaptureError) as caught:
        Graph.capture(lambda: x + 1, options=CaptureOptions(warmup=0))
    assert caught.value.name == name
    assert isinstance(caught.value, family)
    shown = "".join(traceback.format_exception(caught.value))
    assert "apply for memory" not in shown
    assert shown.count("CaptureError") == 1


def test_an_error_of_the_warm_up_says_so():
    def fn():
        raise ValueError("bad shape")

    with pytest.raises(CaptureError, match="warm-up"):
        Graph.capture(fn)


def test_a_keyboard_interrupt_is_not_turned_into_something_else():
    def fn():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Graph.capture(fn, options=CaptureOptions(warmup=0))


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: torch.npu.current_stream().synchronize(),
        lambda x: torch.npu.synchronize(),
    ],
    ids=["item", "cpu", "stream synchronize", "device synchronize"],
)
def test_waiting_for_the_device_in_a_capture_fails_with_the_code_of_acl(wait):
    x = torch.ones(4, device="npu")
    with pytest.raises(CaptureError) as caught:
        Graph.capture(lambda: wait(x + 1), options=CaptureOptions(warmup=0), label=4)
    assert caught.value.code in (107027, 107030), caught.value
    assert caught.value.entry is not None
    assert caught.value.label == 4
    assert ".item()" in str(caught.value)


def test_a_stream_that_forks_and_does_not_join_fails_at_the_end():
    side = torch.npu.Stream()
    x = torch.ones(4, device="npu")

    def fork():
        side.wait_stream(torch.npu.current_stream())
        with torch.npu.stream(side):
            return x + 1

    with pytest.raises(CaptureError) as caught:
        Graph.capture(fork, label="forked")
    assert caught.value.code == 107025
    assert caught.value.call == "aclmdlRICaptureEnd"


INVALIDATE = """
import ascend_sim
ascend_sim.activate()
import torch
from ascend_aclgraph import CaptureError, CaptureOptions, Graph

pinned, kept = torch.ones(4).pin_memory(), torch.zeros(4, device="npu")

def copy_in_a_task_group():  # a group holds kernels only
    torch.npu.graph_task_group_begin(torch.npu.current_stream())
    kept.copy_(pinned, non_blocking=True)

try:
    Graph.capture(copy_in_a_task_group, options=CaptureOptions(warmup=0))
except CaptureError as error:
    print(error.code)
with Graph.capture(lambda: kept + 2) as graph:
    print(graph.replay().tolist())
"""


def test_a_capture_that_was_invalidated_leaves_nothing():
    """In a process of its own: after such an error, torch_npu's task queue would take no work."""
    result = subprocess.run(
        [sys.executable, "-c", INVALIDATE],
        env=os.environ | {"TASK_QUEUE_ENABLE": "0"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.splitlines()[-2:] == ["507009", "[2.0, 2.0, 2.0, 2.0]"], result.stderr


def test_an_open_task_group_fails_at_the_end():
    x = torch.ones(4, device="npu")

    def fn():
        torch.npu.graph_task_group_begin(torch.npu.current_stream())
        return x + 1

    with pytest.raises(CaptureError) as caught:
        Graph.capture(fn, options=CaptureOptions(warmup=0))
    assert caught.value.code == 107033


def test_captures_do_not_nest():
    with pytest.raises(CaptureError) as caught:
        Graph.capture(
            lambda: Graph.capture(lambda: None, label="inner"),
            label="outer",
            options=CaptureOptions(warmup=0),
        )
    inner = caught.value.__cause__
    assert isinstance(inner, CaptureError)
    assert (caught.value.label, inner.label) == ("outer", "inner")
    assert caught.value.code == inner.code == 107027
    assert "cannot nest" in str(inner)


def test_a_stream_that_torch_npu_captures_is_refused():
    native = torch.npu.NPUGraph()
    stream = torch.npu.Stream()
    x = torch.ones(2, device="npu")
    with torch.npu.graph(native, stream=stream):
        with pytest.raises(CaptureError, match="begun elsewhere") as caught:
            Graph.capture(lambda: None, options=CaptureOptions(stream=stream))
        y = x + 1
    assert caught.value.code == 107027
    native.replay()
    assert y.tolist() == [2.0, 2.0], "the other capture is not disturbed"


def test_the_default_stream_is_refused():
    with pytest.raises(CaptureError, match="default stream") as caught:
        Graph.capture(lambda: None, options=CaptureOptions(stream=torch.npu.default_stream()))
    assert caught.value.code == 207000


def test_task_queue_level_2_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setenv("TASK_QUEUE_ENABLE", "2")
    with pytest.raises(CaptureError, match="TASK_QUEUE_ENABLE=1") as caught:
        Graph.capture(lambda: None)
    assert caught.value.code == 207000
    monkeypatch.undo()


def test_a_capture_that_cannot_begin_leaves_a_pool_that_works():
    """torch_npu routes allocations to the pool before it asks ACL, and does not take that back."""
    gc.collect()  # tensors that earlier tests left in reference cycles
    torch.npu.empty_cache()
    before = torch.npu.memory_reserved()
    pool = MemoryPool()
    with torch.npu.stream(pool.stream):
        blocker = torch.npu.NPUGraph()
        blocker.capture_begin()
        with pytest.raises(RuntimeError, match="107027"):
            torch.npu.NPUGraph().capture_begin(pool=pool.token)
        pool.abandon(torch.npu.current_device())
        blocker.capture_end()
    with Graph.capture(lambda: torch.ones(2, device="npu") + 1, pool=pool) as graph:
        assert graph.replay().tolist() == [2.0, 2.0]
    blocker.reset()
    torch.npu.empty_cache()
    assert torch.npu.memory_reserved() == before


def test_a_dump_into_no_folder_says_so(tmp_path):
    graph = Graph.capture(lambda: None)
    with pytest.raises(DumpError, match="folder does not exist"):
        graph.dump(tmp_path / "missing" / "graph.json")


def test_the_package_never_imports_vllm():
    assert "ascend_aclgraph" in sys.modules
    assert "vllm" not in sys.modules
