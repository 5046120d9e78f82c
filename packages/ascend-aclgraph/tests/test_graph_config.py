# SPDX-License-Identifier: Apache-2.0
"""The options of graphs: what cannot be is an error that names the option and what was expected."""

import pytest
from ascend_core import OptionError, SeveralOptionsError, UnknownKeyError

from ascend_aclgraph import GraphConfig


def test_by_default_there_is_a_budget_that_is_measured():
    assert GraphConfig.from_mapping({}) == GraphConfig(
        stream_budget=True, max_streams=None, reserve_streams=None, self_check="off"
    )


def test_options_are_read():
    assert GraphConfig.from_mapping({"max_streams": 100}).max_streams == 100
    assert GraphConfig.from_mapping({"reserve_streams": 0}).reserve_streams == 0
    assert not GraphConfig.from_mapping({"stream_budget": False}).stream_budget
    assert GraphConfig.from_mapping({"self_check": "startup"}).self_check == "startup"


@pytest.mark.parametrize(
    ("option", "value", "valid"),
    [
        ("max_streams", 0, "1 or more"),
        ("max_streams", -1, "1 or more"),
        ("max_streams", 1.5, "1 or more"),
        ("max_streams", True, "1 or more"),
        ("max_streams", "100", "1 or more"),
        ("reserve_streams", -1, "0 or more"),
        ("reserve_streams", [40], "0 or more"),
        ("stream_budget", "on", "true, false"),
        ("stream_budget", 1, "true, false"),
        ("self_check", "always", "off, startup"),
        ("self_check", True, "off, startup"),
    ],
)
def test_a_wrong_value_is_an_error(option, value, valid):
    with pytest.raises(OptionError, match=rf"graph\.{option} = .*Valid: {valid}"):
        GraphConfig.from_mapping({option: value})


@pytest.mark.parametrize("part", [{"max_streams": 9}, {"reserve_streams": 9}])
def test_a_part_of_a_budget_that_is_off_is_an_error(part):
    with pytest.raises(OptionError, match=r"graph\.stream_budget is false"):
        GraphConfig.from_mapping({"stream_budget": False, **part})


def test_a_budget_and_a_reserve_are_an_error():
    with pytest.raises(OptionError, match=r"graph\.reserve_streams = 9: .*graph\.max_streams"):
        GraphConfig.from_mapping({"max_streams": 100, "reserve_streams": 9})


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(SeveralOptionsError, match=r"(?s)max_streams = 0.*reserve_streams = -1"):
        GraphConfig.from_mapping({"max_streams": 0, "reserve_streams": -1})


def test_an_unknown_key_names_the_nearest_one():
    with pytest.raises(UnknownKeyError, match=r"graph\.max_stream'.*Did you mean 'max_streams'"):
        GraphConfig.from_mapping({"max_stream": 3})


def test_what_is_no_mapping_is_an_error():
    with pytest.raises(OptionError, match="a mapping of options"):
        GraphConfig.from_mapping(3)
