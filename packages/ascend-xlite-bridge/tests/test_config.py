# SPDX-License-Identifier: Apache-2.0
import pickle

import pytest
from ascend_core import OptionError, UnknownKeyError

from ascend_xlite_bridge import XliteConfig


def test_xlite_is_off_unless_it_is_asked_for():
    assert XliteConfig.from_mapping({}) == XliteConfig(enabled=False, full_mode=False)


def test_options_are_read_from_a_mapping():
    config = XliteConfig.from_mapping({"enabled": True, "full_mode": True})

    assert config.enabled
    assert config.full_mode


def test_a_config_cannot_be_changed_afterwards():
    config = XliteConfig()

    with pytest.raises(AttributeError):
        config.enabled = True


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("enable", "enabled"), ("full-mode", "full_mode"), ("FullMode", "full_mode")],
)
def test_an_unknown_key_names_the_nearest_one(key, nearest):
    with pytest.raises(UnknownKeyError) as caught:
        XliteConfig.from_mapping({key: True})

    assert caught.value.option == f"xlite_graph_config.{key}"
    assert caught.value.nearest == nearest
    assert repr(nearest) in str(caught.value)


@pytest.mark.parametrize("value", ["true", 1, None, [True]])
def test_a_value_that_is_no_bool_is_refused_and_named(value):
    with pytest.raises(OptionError, match=r"xlite_graph_config\.enabled") as caught:
        XliteConfig.from_mapping({"enabled": value})

    assert caught.value.value == value


@pytest.mark.parametrize("options", [True, ["enabled"], "enabled", None])
def test_options_that_are_no_mapping_are_refused(options):
    with pytest.raises(OptionError, match="a mapping of options"):
        XliteConfig.from_mapping(options)


def test_full_mode_without_xlite_is_a_contradiction():
    with pytest.raises(OptionError, match=r"xlite_graph_config\.full_mode"):
        XliteConfig.from_mapping({"full_mode": True})


def test_a_config_travels_to_worker_processes():
    config = XliteConfig(enabled=True)

    assert pickle.loads(pickle.dumps(config)) == config
