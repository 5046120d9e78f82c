# SPDX-License-Identifier: Apache-2.0
"""graphed(): padding to buckets, static inputs, and what it refuses."""

import logging

import pytest
import torch
from ascend_core.options import UnknownKeyError

from ascend_aclgraph import CaptureOptions, Graph, GraphKey, Ladder, UpdateError, graphed
from ascend_aclgraph.errors import BatchInputError

SIZES = (1, 2, 4, 8)


class Block(torch.nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.up = torch.nn.Linear(width, 2 * width)
        self.down = torch.nn.Linear(2 * width, width)

    def forward(self, x):
        return x + self.down(torch.nn.functional.silu(self.up(self.norm(x))))


def padded(x, rows):
    return torch.cat([x, x.new_zeros(rows - x.shape[0], *x.shape[1:])])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_have_the_bits_of_eager_mode_in_all_buckets(dtype):
    """Kernels may round a row differently in batches of different size: same size, same bits."""
    model = Block().to("npu", dtype)
    with graphed(model, SIZES) as fast, torch.no_grad():
        for rows in range(1, 9):
            x = torch.randn(rows, 48, device="npu", dtype=dtype)
            bucket = fast.ladder.nearest(rows)
            result = fast(x)
            assert result.shape == x.shape
            assert torch.equal(result, model(padded(x, bucket))[:rows])
            torch.testing.assert_close(result, model(x))


def test_a_batch_of_a_bucket_has_the_bits_of_the_plain_call():
    model = Block().npu()
    with graphed(model, SIZES) as fast, torch.no_grad():
        for rows in SIZES:
            x = torch.randn(rows, 48, device="npu")
            assert torch.equal(fast(x), model(x))


def test_rows_of_an_earlier_batch_do_not_show_in_the_padding():
    seen = graphed(lambda x: x + 0, (4,), copy_outputs=False)
    whole = seen(torch.full((4, 2), 7.0, device="npu"))
    seen(torch.ones(1, 2, device="npu"))
    everything = torch.as_strided(whole, (4, 2), (2, 1))
    assert everything[:, 0].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_arguments_may_nest_and_results_too():
    def fn(x, scales, *, shift, mode="plain"):
        total = x * scales["a"] + scales["b"][0] + shift
        return {"total": total, "mode": mode, "parts": (total * 2, None)}

    fast = graphed(fn, SIZES, unbatched=["shift"])
    x, a, b = (torch.randn(3, 5, device="npu") for _ in range(3))
    shift = torch.tensor(2.0, device="npu")
    result = fast(x, {"a": a, "b": [b]}, shift=shift)
    assert torch.equal(result["total"], x * a + b + shift)
    assert torch.equal(result["parts"][0], (x * a + b + shift) * 2)
    assert result["parts"][1] is None
    assert result["mode"] == "plain"


def test_positional_and_keyword_calls_use_the_same_graph():
    fast = graphed(lambda x, y: x - y, (2,))
    x, y = torch.ones(2, 3, device="npu"), torch.zeros(2, 3, device="npu")
    fast(x, y)
    fast(y=y, x=x)
    assert fast.stats.captures == {GraphKey(2): 1}


def test_unbatched_tensors_are_read_anew_in_every_call():
    fast = graphed(lambda x, table: x + table.sum(), (2,), unbatched={"table"})
    x = torch.zeros(1, 1, device="npu")
    for value in (1.0, 2.0):
        assert fast(x, torch.full((3,), value, device="npu")).item() == 3 * value


def test_plain_values_and_shapes_and_dtypes_have_graphs_of_their_own():
    fast = graphed(lambda x, factor: x * factor, (2,))
    x = torch.ones(2, 3, device="npu")
    assert fast(x, 2)[0, 0].item() == 2
    assert fast(x, 3)[0, 0].item() == 3
    assert fast(torch.ones(2, 5, device="npu"), 3).shape == (2, 5)
    assert fast(x.bfloat16(), 3).dtype == torch.bfloat16
    assert [str(key) for key in fast.stats.captures] == ["2", "2#1", "2#2", "2#3"]


def test_many_combinations_are_warned_about(caplog):
    fast = graphed(lambda x, factor: x * factor, (1,), options=CaptureOptions(warmup=0))
    x = torch.ones(1, 1, device="npu")
    with caplog.at_level(logging.WARNING, "ascend_aclgraph"):
        for factor in range(9):
            fast(x, factor)
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1
    assert "pass what changes with every call as a tensor" in caplog.text


def test_a_batch_beyond_the_largest_bucket_runs_eagerly_is_counted_and_logged_once(caplog):
    fast = graphed(lambda x: x + 1, (1, 2))
    with caplog.at_level(logging.WARNING, "ascend_aclgraph"):
        for _ in range(3):
            assert fast(torch.zeros(3, 1, device="npu")).tolist() == [[1.0]] * 3
    assert fast.stats.eager_calls == 3
    assert fast.stats.replays == 0
    assert len(caplog.records) == 1
    assert "3 rows is larger than the largest graph (2)" in caplog.text


def test_an_empty_batch_runs_eagerly_without_a_warning(caplog):
    fast = graphed(lambda x: x + 1, (1, 2))
    assert fast(torch.zeros(0, 4, device="npu")).shape == (0, 4)
    assert fast.stats.eager_calls == 1
    assert not caplog.records


def test_results_are_copies_unless_asked_otherwise():
    x = torch.ones(2, 1, device="npu")
    copies = graphed(lambda x: x * 2, (2,))
    first = copies(x)
    copies(x * 5)
    assert first.tolist() == [[2.0], [2.0]]

    views = graphed(lambda x: x * 2, (2,), copy_outputs=False)
    first = views(x)
    views(x * 5)
    assert first.tolist() == [[10.0], [10.0]]


def test_example_inputs_capture_all_buckets_at_once_largest_first():
    fast = graphed(lambda x: x + 1, SIZES, example_inputs=(torch.zeros(3, 2, device="npu"),))
    assert [descriptor.size for descriptor in fast.graphs] == [8, 4, 2, 1]
    fast(torch.ones(3, 2, device="npu"))
    assert sum(fast.stats.captures.values()) == 4


def test_calls_may_change_between_inference_mode_and_plain_mode():
    fast = graphed(lambda x: x + 1, (1,))
    with torch.inference_mode():
        fast(torch.zeros(1, 1, device="npu"))
    assert fast(torch.ones(1, 1, device="npu", requires_grad=True)).tolist() == [[2.0]]
    with torch.inference_mode():
        assert fast(torch.full((1, 1), 2.0, device="npu")).tolist() == [[3.0]]


def test_calls_on_other_streams_do_not_overwrite_inputs_in_use(gate):
    fast = graphed(lambda x: x * 10, (1,))
    fast(torch.zeros(1, 1, device="npu"))
    one, two = (torch.full((1, 1), value, device="npu") for value in (1.0, 2.0))
    streams = [torch.npu.Stream(), torch.npu.Stream()]
    torch.npu.synchronize()
    gate.close(streams[0])
    results = []
    for stream, x in zip(streams, (one, two), strict=True):
        with torch.npu.stream(stream):
            results.append(fast(x))
    gate.open()
    torch.npu.synchronize()
    assert [result.item() for result in results] == [10.0, 20.0]


def test_close_gives_back_the_graphs_and_a_later_call_captures_again():
    fast = graphed(lambda x: x + 1, (1,))
    x = torch.zeros(1, 1, device="npu")
    fast(x)
    fast.close()
    fast.close()
    assert len(fast.graphs) == 0
    assert fast(x).item() == 1.0


class TestRefused:
    def test_rows_that_differ(self):
        fast = graphed(lambda x, y: x, (4,))
        with pytest.raises(BatchInputError, match=r"'y' has shape \(3,\) .*unbatched=\['y'\]"):
            fast(torch.zeros(2, 1, device="npu"), torch.zeros(3, device="npu"))

    def test_no_batch_at_all(self):
        with pytest.raises(BatchInputError, match="no argument is a tensor"):
            graphed(lambda x: x, (4,))(3)

    def test_a_tensor_on_the_cpu(self):
        with pytest.raises(BatchInputError, match=r"'x' is on cpu.*\.npu\(\)"):
            graphed(lambda x: x, (4,))(torch.zeros(2, 1))

    def test_an_output_that_mixes_rows(self):
        fast = graphed(lambda x: x.mean(), (4,))
        with pytest.raises(BatchInputError, match="rows of padding"):
            fast(torch.zeros(2, 1, device="npu"))
        assert len(fast.graphs) == 0

    def test_a_function_with_host_arguments(self, attention):
        fast = graphed(lambda x: attention([1, 1]), (2,))
        with pytest.raises(UpdateError, match=r"Graph\.capture"):
            fast(torch.zeros(2, 1, device="npu"))

    def test_an_unknown_unbatched_name(self):
        with pytest.raises(UnknownKeyError, match="Did you mean 'table'"):
            graphed(lambda x, table: x, (2,), unbatched=["tabel"])


class TestLadder:
    def test_the_usual_ladder_has_one_and_the_exact_maximum(self):
        for largest in (1, 2, 3, 7, 8, 9, 100):
            ladder = Ladder.up_to(largest)
            assert 1 in ladder
            assert ladder.largest == largest
        assert list(Ladder.up_to(20)) == [1, 2, 4, 8, 16, 20]

    def test_the_nearest_rung_is_the_smallest_that_holds_the_rows(self):
        ladder = Ladder([8, 2, 2, 4])
        assert [ladder.nearest(rows) for rows in (1, 2, 3, 5, 8, 9)] == [2, 2, 4, 8, 8, None]
        assert len(ladder) == 3

    @pytest.mark.parametrize("sizes", [[], [0, 1], [-2]])
    def test_sizes_are_positive(self, sizes):
        with pytest.raises(ValueError, match="positive"):
            Ladder(sizes)


def test_graphs_of_a_graphed_function_are_ordinary_graphs():
    fast = graphed(lambda x: x + 1, (1,))
    fast(torch.zeros(1, 1, device="npu"))
    assert isinstance(fast.graphs[GraphKey(1)], Graph)
