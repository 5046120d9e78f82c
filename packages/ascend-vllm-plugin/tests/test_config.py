# SPDX-License-Identifier: Apache-2.0
"""`additional_config`: what is valid is typed, what is not names what is."""

from typing import Any

import pytest
from ascend_core import OptionError, UnknownKeyError

from ascend_vllm_plugin.config import PluginConfig


def test_defaults_are_the_fast_choices() -> None:
    assert PluginConfig.parse({}) == PluginConfig(
        graph_update_order="replay_first", check_graph_inputs=False
    )


def test_options_are_read() -> None:
    options = PluginConfig.parse({"graph_update_order": "update_first", "check_graph_inputs": True})
    assert options.graph_update_order == "update_first"
    assert options.check_graph_inputs is True


def test_an_unknown_key_names_the_nearest_one() -> None:
    with pytest.raises(UnknownKeyError, match="graph_update_order") as caught:
        PluginConfig.parse({"graph-updateorder": "update_first"})
    assert caught.value.nearest == "graph_update_order"


@pytest.mark.parametrize(
    "options",
    [
        {"graph_update_order": "later"},
        {"check_graph_inputs": "yes"},
        {"xlite_graph_config": {"enabled": True}},
        {"torchair_graph_config": {"enabled": True}},
        {"torchair_graph_config": True},
        {"xlite_graph_config": {"enabled": "yes"}},
    ],
)
def test_what_cannot_be_done_is_refused(options: dict[str, Any]) -> None:
    (key,) = options
    with pytest.raises(OptionError, match=key):
        PluginConfig.parse(options)


@pytest.mark.parametrize("key", ["xlite_graph_config", "torchair_graph_config"])
def test_a_backend_of_later_versions_may_be_named_if_it_is_off(key: str) -> None:
    assert PluginConfig.parse({key: {"enabled": False}}) == PluginConfig()
