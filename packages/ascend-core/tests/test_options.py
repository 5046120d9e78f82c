# SPDX-License-Identifier: Apache-2.0
import pickle

import pytest

from ascend_core import (
    OptionError,
    SeveralOptionsError,
    UnknownKeyError,
    nearest_key,
    raise_problems,
)

VALID = ("xlite_graph_config", "torchair_graph_config", "enabled")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("xlite_graph_confg", "xlite_graph_config"),
        ("xlite-graph-config", "xlite_graph_config"),
        ("torchairGraphConfig", "torchair_graph_config"),
        ("Enable", "enabled"),
        ("temperature", None),
        ("", None),
    ],
)
def test_the_nearest_key_is_the_one_that_was_meant(typed, meant):
    assert nearest_key(typed, VALID) == meant


def test_an_unknown_key_names_its_place_the_nearest_and_all_valid_ones():
    error = UnknownKeyError("enable", VALID, "additional_config")

    assert error.option == "additional_config.enable"
    assert error.nearest == "enabled"
    assert all(key in str(error) for key in VALID)


def test_an_unknown_key_that_resembles_nothing_makes_no_guess():
    assert "Did you mean" not in str(UnknownKeyError("temperature", VALID))


def test_an_option_error_names_the_option_its_value_why_and_what_is_valid():
    error = OptionError("--mode", "SUPER", "there is no such mode", ("FULL", "PIECEWISE"))

    assert str(error) == ("option --mode = 'SUPER': there is no such mode. Valid: FULL, PIECEWISE.")
    assert isinstance(error, ValueError)


def test_an_option_error_may_have_nothing_valid_to_name():
    assert str(OptionError("--mode", 1, "no")) == "option --mode = 1: no."


@pytest.mark.parametrize(
    "error", [UnknownKeyError("enable", VALID, "x"), OptionError("--mode", 1, "no", (2, 3))]
)
def test_the_errors_travel_between_processes(error):
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_one_problem_is_raised_as_it_is_and_none_not_at_all():
    problem = OptionError("--mode", "SUPER", "there is no such mode")
    raise_problems([])

    with pytest.raises(OptionError) as caught:
        raise_problems(iter([problem]))

    assert caught.value is problem


def test_several_problems_are_raised_at_once_and_travel_between_processes():
    problems = [OptionError("--mode", "SUPER", "no such mode"), UnknownKeyError("enable", VALID)]

    with pytest.raises(SeveralOptionsError, match="2 options cannot be used") as caught:
        raise_problems(problems)

    assert all(f"\n  - {problem}" in str(caught.value) for problem in problems)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
