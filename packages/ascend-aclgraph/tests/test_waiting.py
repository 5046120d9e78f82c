# SPDX-License-Identifier: Apache-2.0
"""A graph that waits for updates is let go whatever happens on the host."""

import logging
import os
import subprocess
import sys
import threading

import pytest
import torch

from ascend_aclgraph import CaptureOptions, Graph, UpdateError, _order, updatable
from ascend_aclgraph._watchdog import ReplayWatch

PROGRAM = """
import ascend_sim
ascend_sim.activate()
import torch
from ascend_aclgraph import CaptureOptions, Graph, UpdateError, updatable

total = torch.zeros(2, device="npu")

def add_ones(out, count):
    for _ in range(count):
        torch.add(out, 1, out=out)
    return out

def layers():
    for _ in range(2):
        updatable(add_ones, host_args=["count"], out=total, count=2)

graph = Graph.capture(layers, options=CaptureOptions(warmup=0))
"""


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program that would once have waited for ever."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def add_ones(out, count):
    for _ in range(count):
        torch.add(out, 1, out=out)
    return out


@pytest.fixture
def total():
    return torch.zeros(2, device="npu")


@pytest.fixture
def two_layers(total):
    def layers():
        for _ in range(2):
            updatable(add_ones, host_args=["count"], out=total, count=2)

    return Graph.capture(layers, options=CaptureOptions(warmup=0))


def test_launches_that_block_replay_after_their_updates_and_say_so_once():
    # given a host that does not return from a launch until the device has run it
    result = run(
        "for _ in range(3): graph.replay({'count': 2})\nprint(total.tolist())",
        ASCEND_LAUNCH_BLOCKING="1",
    )
    assert result.stdout.splitlines()[-1] == "[12.0, 12.0]", result.stderr
    assert result.stderr.count('in the order "update_first"') == 1
    assert "ASCEND_LAUNCH_BLOCKING=1" in result.stderr


STUCK = """
import time
never, begun = torch.npu.ExternalEvent(), time.monotonic()
never.wait(graph._updater._stream)  # given updates that never run
graph.replay({'count': 2})
try: torch.npu.synchronize()
except RuntimeError as error: print('FORCE STOP' in str(error), time.monotonic() - begun < 60)
"""


def test_a_replay_whose_updates_never_run_is_an_error_within_the_limit():
    result = run(STUCK, ASCEND_ACLGRAPH_REPLAY_LIMIT="1")
    assert result.stdout.splitlines()[-1:] == ["True True"], result.stderr
    assert "a replay of the graph has not ended within 1 s" in result.stderr


def test_replays_that_end_in_time_are_left_alone(two_layers):
    watch = two_layers._updater._watch
    two_layers.replay({"count": 2})
    torch.npu.synchronize()
    assert not watch.overdue(0)


def test_a_replay_that_begins_while_an_old_one_is_looked_at_is_not_overdue():
    class Ended:
        def query(self):
            watch.begin()
            return False

    watch = ReplayWatch("the graph", 0, Ended())
    watch.begin()
    watch.issued()
    assert not watch.overdue(0)


@pytest.mark.parametrize("wrong", ["-1", "soon", "nan"])
def test_a_limit_that_is_no_number_of_seconds_is_an_error(wrong):
    result = run("", ASCEND_ACLGRAPH_REPLAY_LIMIT=wrong)
    assert f"ASCEND_ACLGRAPH_REPLAY_LIMIT = '{wrong}'" in result.stderr
    assert result.returncode == 1


def test_an_update_that_stops_the_task_queue_is_an_error_and_the_graph_ends():
    # given an update of more kernels than were captured, which fails in torch_npu's queue
    result = run(
        "try: graph.replay({'count': 3})\n"
        "except UpdateError: print('refused')\n"
        "torch.npu.synchronize()\n"
        "print(total.tolist())",
        TASK_QUEUE_ENABLE="1",
    )
    assert result.stdout.splitlines()[-2:] == ["refused", "[4.0, 4.0]"], result.stderr


def test_an_update_of_fewer_kernels_is_an_error_and_the_next_replay_works(
    two_layers, total, finishes
):
    with pytest.raises(UpdateError, match="507000"):
        two_layers.replay({"count": 1})
    assert finishes()
    total.zero_()
    two_layers.replay({"count": 2})
    assert total.tolist() == [4.0, 4.0]


@pytest.mark.parametrize("order", ["replay_first", "update_first"])
def test_an_interrupt_within_an_update_leaves_a_graph_that_can_go_on(attention, finishes, order):
    graph = Graph.capture(attention.layers(3, [1, 1]), options=CaptureOptions(order=order))
    task = graph._updater._tasks[1]
    op = task.op

    def interrupted(**_):
        raise KeyboardInterrupt

    task.op = interrupted
    with pytest.raises(KeyboardInterrupt):
        graph.replay({attention.name: [5, 6]})
    task.op = op

    assert finishes()
    for lengths in ([7, 9], [3, 30]):
        outputs = graph.replay({attention.name: lengths})
        for layer, output in enumerate(outputs):
            torch.testing.assert_close(output.cpu(), attention.expected(lengths, 1.0 + layer))


def test_a_failed_update_does_not_let_replays_before_it_go(attention, gate, finishes):
    # given a device that is held back, with one replay issued
    graph = Graph.capture(attention.layers(1, [1, 1]))
    kept = torch.zeros_like(attention.query)
    torch.npu.synchronize()
    gate.close()
    kept.copy_(graph.replay({attention.name: [5, 6]})[0])

    # when an update after it fails, while the first replay is let go
    opener = threading.Timer(0.2, gate.open)
    opener.start()
    with pytest.raises(UpdateError):
        graph.replay({attention.name: "not lengths"})
    opener.join()

    # then the first replay has attended to its own lengths
    assert finishes()
    torch.testing.assert_close(kept.cpu(), attention.expected([5, 6]))


def test_a_replay_on_the_stream_of_the_updates(attention, finishes):
    """torch_npu has 32 streams and hands them out in turn, so a program may well have this one."""
    graph = Graph.capture(attention.layers(2, [1, 1]))
    streams = (torch.npu.Stream() for _ in range(64))
    shared = next(stream for stream in streams if stream == graph._updater._stream)
    with torch.npu.stream(shared):
        outputs = graph.replay({attention.name: [4, 8]})
        assert finishes(shared)
    for layer, output in enumerate(outputs):
        torch.testing.assert_close(output.cpu(), attention.expected([4, 8], 1.0 + layer))


def test_graphs_of_two_threads_do_not_mix_their_updates(attention, finishes):
    graphs = [Graph.capture(attention.layers(4, [1, 1])) for _ in range(2)]
    lengths = ([5, 17], [40, 2])
    failures = []

    def replay(graph, own):
        try:
            with torch.npu.stream(torch.npu.Stream()):
                for _ in range(40):
                    graph.replay({attention.name: own})
                assert finishes()
        except Exception as error:
            failures.append(error)

    threads = [
        threading.Thread(target=replay, args=pair) for pair in zip(graphs, lengths, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    for graph, own in zip(graphs, lengths, strict=True):
        for layer, output in enumerate(graph.outputs):
            torch.testing.assert_close(output.cpu(), attention.expected(own, 1.0 + layer))


class TestSoftPartition:
    @pytest.fixture(autouse=True)
    def partition(self, tmp_path, monkeypatch):
        path = tmp_path / "etc/enpu/vcann-rt/npu_info.config"
        path.parent.mkdir(parents=True)
        path.write_text(
            "physical-npu-id=0\nvirtual-npu-id=0\naicore-quota=50\nmemory-quota=1024\n"
            "scheduling-policy=1\nshm-id=test\n"
        )
        monkeypatch.setenv("ASCEND_PARTITION_ROOT", str(tmp_path))
        _order._warn.cache_clear()
        yield path
        _order._warn.cache_clear()

    def test_updates_go_first_and_a_warning_says_why_once(self, attention, caplog):
        with caplog.at_level(logging.WARNING, "ascend_aclgraph"):
            for _ in range(2):
                graph = Graph.capture(attention.layers(1, [1, 1]))
        assert graph._updater._order == "update_first"
        assert len(caplog.records) == 1
        assert "soft partition" in caplog.text

    def test_a_file_that_makes_no_sense_is_taken_for_a_partition(
        self, attention, caplog, partition
    ):
        partition.write_text("aicore-quota=half\n")
        with caplog.at_level(logging.WARNING, "ascend_aclgraph"):
            graph = Graph.capture(attention.layers(1, [1, 1]))
        assert graph._updater._order == "update_first"
        assert str(partition) in caplog.text

    def test_what_was_asked_for_needs_no_warning(self, attention, caplog):
        Graph.capture(attention.layers(1, [1, 1]), options=CaptureOptions(order="update_first"))
        assert not caplog.records
