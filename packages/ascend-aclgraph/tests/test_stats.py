# SPDX-License-Identifier: Apache-2.0
"""What the statistics count."""

import json

import pytest
import torch

from ascend_aclgraph import Graph, GraphStats, graphed


def test_captures_replays_and_padding_of_a_graphed_function():
    fast = graphed(lambda x: x + 1, (2, 4))
    for rows in (1, 2, 3, 3, 4, 9):
        fast(torch.zeros(rows, 1, device="npu"))
    stats = fast.stats
    assert {str(key): count for key, count in stats.captures.items()} == {"2": 1, "4": 1}
    assert stats.replays == 5
    assert stats.eager_calls == 1
    assert (stats.real_rows, stats.padded_rows) == (13, 3)
    assert stats.padding_waste == pytest.approx(3 / 16)
    assert stats.capture_seconds > 0


def test_a_failed_capture_is_not_counted():
    stats = GraphStats()
    with pytest.raises(RuntimeError):
        Graph.capture(lambda: 1 / 0, counts=stats.of(8))
    assert stats.captures == {8: 0}


def test_as_dict_is_json():
    stats = GraphStats()
    stats.of(("decode", 8)).replays += 2
    stats.of(4).captures += 1
    stats.count_rows(3, 1)
    values = json.loads(json.dumps(stats.as_dict()))
    assert values == {
        "captures": {"('decode', 8)": 0, "4": 1},
        "capture_seconds": 0.0,
        "replays": 2,
        "replays_by_descriptor": {"('decode', 8)": 2, "4": 0},
        "updates": 0,
        "eager_calls": 0,
        "real_rows": 3,
        "padded_rows": 1,
        "padding_waste": 0.25,
    }


def test_nothing_counted_wastes_nothing():
    assert GraphStats().padding_waste == 0.0
