# SPDX-License-Identifier: Apache-2.0
"""Tasks with host arguments: what an update changes, in which order, and what it refuses."""

import gc
from dataclasses import FrozenInstanceError

import pytest
import torch
import torch_npu

from ascend_aclgraph import CaptureError, CaptureOptions, Graph, GraphStats, UpdateError, updatable
from ascend_aclgraph.errors import MissingHostArgError, UnknownHostArgError

ORDERS = pytest.mark.parametrize("order", ["replay_first", "update_first"])


def assert_attended(outputs, attention, lengths):
    for layer, output in enumerate(outputs):
        expected = attention.expected(lengths, 1.0 + layer)
        torch.testing.assert_close(output.cpu(), expected, rtol=1e-4, atol=1e-5)


@ORDERS
def test_each_replay_attends_to_the_lengths_that_it_was_given(attention, order):
    graph = Graph.capture(attention.layers(3, [1, 1]), options=CaptureOptions(order=order))
    for lengths in ([1, 1], [5, 17], [33, 2], [64, 64]):
        assert_attended(graph.replay({attention.name: lengths}), attention, lengths)


@ORDERS
def test_the_host_may_run_many_steps_ahead(attention, gate, finishes, order):
    # given a device that is held back, so that all steps are issued before the first one runs
    graph = Graph.capture(attention.layers(3, [1, 1]), options=CaptureOptions(order=order))
    steps = [[1 + step, 1 + 2 * step] for step in range(24)]
    kept = torch.zeros(len(steps), 3, *attention.query.shape, device="npu")
    torch.npu.synchronize()
    gate.close()

    # when each step brings lengths of its own
    for slot, lengths in zip(kept, steps, strict=True):
        for layer, output in zip(slot, graph.replay({attention.name: lengths}), strict=True):
            layer.copy_(output)
    gate.open()

    # then no step waits for ever, and none has attended to earlier or later lengths
    assert finishes()
    for slot, lengths in zip(kept, steps, strict=True):
        assert_attended(slot, attention, lengths)


def test_without_the_order_on_the_device_a_step_sees_the_lengths_of_a_later_one(
    attention, gate, finishes, monkeypatch
):
    # given a graph whose updates do not wait for the end of the previous replay
    graph = Graph.capture(attention.layers(1, [1, 1]))
    monkeypatch.setattr(graph._updater, "_replayed", torch.npu.Event())
    monkeypatch.setattr(
        type(graph._updater), "replay", _replay_without_waiting_for_the_previous_one
    )
    kept = torch.zeros(2, *attention.query.shape, device="npu")
    torch.npu.synchronize()
    gate.close()
    for slot, lengths in zip(kept, ([3, 3], [60, 60]), strict=True):
        slot.copy_(graph.replay({attention.name: lengths})[0])
    _wait_until_updates_are_written(graph, finishes)
    gate.open()

    # then the second wake-up is lost ...
    assert not finishes(seconds=0.5)
    graph._updater._tasks[0].event.record(torch.npu.Stream())
    assert finishes()
    # ... and the first step has attended to the lengths of the second
    assert_attended([kept[0]], attention, [60, 60])


def _replay_without_waiting_for_the_previous_one(updater, execute):
    execute()
    updater._serve(torch.npu.current_stream())
    return True


def _wait_until_updates_are_written(graph, finishes):
    assert finishes(graph._updater._stream)


def test_a_replay_without_update_repeats_the_last_lengths_and_is_wrong_for_new_ones(attention):
    graph = Graph.capture(attention.layers(2, [1, 1]))
    graph.replay({attention.name: [10, 20]})
    outputs = graph.replay()
    assert_attended(outputs, attention, [10, 20])
    with pytest.raises(AssertionError):
        assert_attended(outputs, attention, [11, 21])


def test_a_first_replay_without_update_uses_the_lengths_of_the_capture(attention):
    graph = Graph.capture(attention.layers(1, [4, 6]))
    assert_attended(graph.replay(), attention, [4, 6])


def test_update_keeps_new_arguments_for_the_next_replay(attention):
    graph = Graph.capture(attention.layers(1, [1, 1]))
    graph.update(actual_seq_lengths_kv=[12, 30])
    assert_attended(graph.replay(), attention, [12, 30])


def test_records_can_be_updated_one_by_one(attention):
    def fn():
        return [attention([1, 1], name="first"), attention([1, 1], name="second")]

    graph = Graph.capture(fn)
    lengths = {"first": [8, 3], "second": [50, 40]}

    by_mapping = graph.replay({name: {attention.name: value} for name, value in lengths.items()})
    for output, name in zip(by_mapping, lengths, strict=True):
        assert_attended([output], attention, lengths[name])

    graph.replay({attention.name: [1, 1]})
    by_function = graph.replay(lambda record: {attention.name: lengths[record.name]})
    for output, name in zip(by_function, lengths, strict=True):
        assert_attended([output], attention, lengths[name])


def test_a_replay_on_another_stream_keeps_the_order(attention, gate, finishes):
    graph = Graph.capture(attention.layers(2, [1, 1]))
    streams = [torch.npu.Stream(), torch.npu.Stream()]
    steps = [[step + 1, step + 2] for step in range(8)]
    kept = torch.zeros(len(steps), 2, *attention.query.shape, device="npu")
    torch.npu.synchronize()
    gate.close(streams[0])
    for step, lengths in enumerate(steps):
        with torch.npu.stream(streams[step % 2]):
            for layer, output in zip(
                kept[step], graph.replay({attention.name: lengths}), strict=True
            ):
                layer.copy_(output)
    gate.open()
    assert all(finishes(stream) for stream in streams)
    for step, lengths in enumerate(steps):
        assert_attended(kept[step], attention, lengths)


def test_two_graphs_with_updates_can_alternate(attention, finishes):
    short = Graph.capture(attention.layers(1, [1, 1]))
    long = Graph.capture(attention.layers(2, [1, 1]))
    kept = []
    for step in range(10):
        lengths = [step + 1, 64 - step]
        kept.append((short.replay({attention.name: lengths})[0].clone(), lengths))
        kept.append((long.replay({attention.name: lengths[::-1]})[0].clone(), lengths[::-1]))
    assert finishes()
    for output, lengths in kept:
        assert_attended([output], attention, lengths)


def test_outside_of_a_capture_updatable_is_a_plain_call(attention):
    assert_attended([attention([3, 40])], attention, [3, 40])


def test_a_record_holds_what_the_update_needs(attention):
    graph = Graph.capture(attention.layers(2, [1, 1]))
    names = [record.name for record in graph.records]
    assert names == [f"npu_fused_infer_attention_score.out.{index}" for index in (0, 1)]
    record = graph.records[0]
    assert record.host_args == (attention.name,)
    assert record.op is torch_npu.npu_fused_infer_attention_score.out
    assert record.kwargs["key"].data_ptr() == attention.key.data_ptr()


def test_a_record_shows_the_arguments_of_the_last_update(attention):
    graph = Graph.capture(attention.layers(1, [1, 1]))
    graph.replay({attention.name: [5, 6]})
    assert graph.records[0].kwargs[attention.name] == [5, 6]


def test_a_record_cannot_be_changed(attention):
    """What a user changed there would be replayed without the checks of an update."""
    record = Graph.capture(attention.layers(1, [1, 1])).records[0]
    with pytest.raises(FrozenInstanceError):
        record.host_args = ()
    with pytest.raises(TypeError):
        record.kwargs[attention.name] = [5, 6]
    with pytest.raises(AttributeError):
        record.kwargs.update({attention.name: [5, 6]})


def test_records_leave_temporary_tensors_to_the_pool(attention):
    """Queries, workspaces and results of all layers together would be far more than one layer's."""
    attention.query = torch.zeros(2, 2, 16, device="npu")
    one = Graph.capture(attention.layers(1, [1, 1]))
    used = torch.npu.memory_allocated()
    many = Graph.capture(lambda: [attention([1, 1], 1.0) for _ in range(8)] and None)
    gc.collect()
    assert torch.npu.memory_allocated() <= used + 4096
    assert len(many.records) == 8
    del one


def test_updates_are_counted(attention):
    stats = GraphStats()
    graph = Graph.capture(attention.layers(1, [1, 1]), counts=stats.of("decode"))
    graph.replay({attention.name: [2, 2]})
    graph.replay()
    graph.replay({attention.name: [3, 3]})
    assert (stats.replays, stats.updates) == (3, 2)


class TestRefused:
    def test_an_unknown_host_argument_names_the_nearest(self, attention):
        graph = Graph.capture(attention.layers(1, [1, 1]), label=2)
        with pytest.raises(
            UnknownHostArgError, match="Did you mean 'actual_seq_lengths_kv'"
        ) as caught:
            graph.replay({"actual_seq_length_kv": [1, 1]})
        assert caught.value.nearest == attention.name
        assert "graph 2" in str(caught.value)

    def test_an_unknown_record_names_the_nearest(self, attention):
        graph = Graph.capture(lambda: attention([1, 1], name="layers.0"))
        with pytest.raises(UnknownHostArgError, match=r"Did you mean 'layers\.0'"):
            graph.update({"layer.0": {attention.name: [1, 1]}})

    def test_a_record_that_is_left_out(self, attention):
        graph = Graph.capture(attention.layers(2, [1, 1]))
        first = graph.records[0].name
        with pytest.raises(MissingHostArgError, match=graph.records[1].name):
            graph.update({first: {attention.name: [1, 1]}})

    def test_a_host_argument_that_is_left_out(self, attention):
        both = ["actual_seq_lengths", attention.name]
        graph = Graph.capture(lambda: attention([1, 1], host_args=both))
        with pytest.raises(MissingHostArgError, match="leaves out actual_seq_lengths:"):
            graph.update({attention.name: [1, 1]})

    def test_an_update_of_a_graph_without_records(self):
        with pytest.raises(UpdateError, match=r"updatable\(\)"):
            Graph.capture(lambda: None).update(lengths=[1])

    def test_a_refused_update_replays_nothing_and_changes_nothing(self, attention):
        stats = GraphStats()
        graph = Graph.capture(attention.layers(1, [7, 7]), counts=stats.of(2))
        with pytest.raises(UnknownHostArgError):
            graph.replay({"lengths": [1, 1]})
        assert stats.replays == 0
        assert_attended(graph.replay(), attention, [7, 7])

    @ORDERS
    def test_values_that_the_operator_refuses_leave_a_graph_that_can_go_on(
        self, attention, finishes, order
    ):
        graph = Graph.capture(attention.layers(2, [1, 1]), options=CaptureOptions(order=order))
        with pytest.raises(UpdateError, match="could not be updated") as caught:
            graph.replay({attention.name: "not lengths"})
        assert caught.value.__cause__ is not None
        assert finishes(), "the graph must not wait for the update that failed"
        assert_attended(graph.replay({attention.name: [9, 8]}), attention, [9, 8])

    def test_an_operator_that_allocates_its_results(self, attention):
        def fn():
            return updatable(
                torch_npu.npu_fused_infer_attention_score,
                host_args=[attention.name],
                **attention.arguments([1, 1]),
            )

        with pytest.raises(CaptureError, match="allocates its results itself") as caught:
            Graph.capture(fn)
        assert isinstance(caught.value.__cause__, UpdateError)

    def test_an_operator_that_allocates_its_workspace(self, attention):
        def fn():
            result = torch.empty_like(attention.query)
            return updatable(
                torch_npu.npu_fused_infer_attention_score.out,
                host_args=[attention.name],
                out=[result, torch.empty(1, device="npu")],
                **attention.arguments([1, 1]),
            )

        with pytest.raises(CaptureError, match="needs workspace="):
            Graph.capture(fn)

    def test_a_host_argument_that_the_call_does_not_have(self, attention):
        with pytest.raises(CaptureError, match="Did you mean 'actual_seq_lengths_kv'"):
            Graph.capture(lambda: attention([1, 1], host_args=["actual_seq_lengths_kvs"]))

    def test_two_records_of_one_name(self, attention):
        def fn():
            attention([1, 1], name="twice")
            attention([1, 1], name="twice")

        with pytest.raises(CaptureError, match="names are unique"):
            Graph.capture(fn)

    def test_a_capture_that_torch_npu_began(self, attention):
        native = torch.npu.NPUGraph()
        with pytest.raises(UpdateError, match=r"Graph\.capture"), torch.npu.graph(native):
            attention([1, 1])
