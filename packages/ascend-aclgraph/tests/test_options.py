# SPDX-License-Identifier: Apache-2.0
"""CaptureOptions: a wrong one is an error where it is given, before anything is captured."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from ascend_core.options import OptionError, SeveralOptionsError

from ascend_aclgraph import CaptureOptions, Graph, GraphCache, graphed


@pytest.mark.parametrize(
    ("option", "value", "valid"),
    [
        ("warmup", -1, "0, 1, 2"),
        ("warmup", 1.5, "0, 1, 2"),
        ("warmup", True, "0, 1, 2"),
        ("order", "updates_first", "replay_first, update_first"),
        ("capture_error_mode", "globl", "global, thread_local, relaxed"),
        ("hold_outputs", "yes", "True, False"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_those_that_can(option, value, valid):
    with pytest.raises(OptionError, match=f"option {option} = .* Valid: {valid}"):
        CaptureOptions(**{option: value})


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(SeveralOptionsError) as caught:
        CaptureOptions(warmup=-1, order="later")
    assert [problem.option for problem in caught.value.problems] == ["warmup", "order"]


def test_an_option_that_does_not_exist_is_refused_where_it_is_given():
    with pytest.raises(TypeError, match="warmpu"):
        CaptureOptions(warmpu=0)


@pytest.mark.parametrize(
    "capture",
    [
        lambda **wrong: Graph.capture(lambda: None, **wrong),
        lambda **wrong: GraphCache().capture(1, lambda: None, **wrong),
        lambda **wrong: GraphCache().capture_all([1], lambda size: lambda: None, **wrong),
        lambda **wrong: graphed(lambda x: x + 1, (1,), **wrong),
    ],
    ids=["Graph", "GraphCache", "all of a GraphCache", "graphed"],
)
class TestEveryWayToCapture:
    """graphed() captures at its first call, and refuses before that."""

    def test_takes_no_option_as_a_keyword(self, capture):
        with pytest.raises(TypeError, match="warmup"):
            capture(warmup=0)

    def test_takes_no_dict(self, capture):
        with pytest.raises(OptionError, match=r"type dict.*CaptureOptions\("):
            capture(options={"warmup": 0})


def test_options_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        CaptureOptions().warmup = 3


def test_options_are_equal_by_what_they_say():
    assert CaptureOptions(warmup=1) == CaptureOptions()
    assert len({CaptureOptions(warmup=2), CaptureOptions(warmup=2), CaptureOptions()}) == 2


def test_each_size_of_a_graphed_function_is_captured_with_the_options():
    calls = []
    fast = graphed(
        lambda x: calls.append(len(x)) or x + 1, (2, 4), options=CaptureOptions(warmup=2)
    )
    for rows in (2, 4):
        fast(torch.zeros(rows, 1, device="npu"))
    assert calls == [2, 2, 2, 4, 4, 4]


def test_all_graphs_of_a_cache_are_captured_with_the_options():
    calls = []
    with GraphCache() as cache:
        make = lambda size: lambda: calls.append(size)  # noqa: E731
        cache.capture_all([1, 2], make, options=CaptureOptions(warmup=0))
    assert calls == [2, 1]
