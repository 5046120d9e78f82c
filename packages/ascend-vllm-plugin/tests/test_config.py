# SPDX-License-Identifier: Apache-2.0
"""`additional_config`: what is valid is typed, what is not names what is."""

from typing import Any

import pytest
from ascend_aclgraph import GraphConfig
from ascend_core import OptionError, SeveralOptionsError, UnknownKeyError
from ascend_xlite_bridge import XliteConfig

from ascend_vllm_plugin.config import PluginConfig
from ascend_vllm_plugin.peer_options import PEER_OPTIONS


def test_defaults_are_the_fast_choices() -> None:
    assert PluginConfig.parse({}) == PluginConfig(
        graph_update_order="replay_first",
        check_graph_inputs=False,
        graph=GraphConfig(stream_budget=True, max_streams=None, reserve_streams=None),
        xlite_graph_config=XliteConfig(enabled=False, full_mode=False),
    )


def test_options_are_read() -> None:
    options = PluginConfig.parse({"graph_update_order": "update_first", "check_graph_inputs": True})
    assert options.graph_update_order == "update_first"
    assert options.check_graph_inputs is True


def test_options_of_xlite_are_read() -> None:
    options = PluginConfig.parse({"xlite_graph_config": {"enabled": True, "full_mode": True}})
    assert options.xlite_graph_config == XliteConfig(enabled=True, full_mode=True)


def test_options_of_graphs_are_read() -> None:
    options = PluginConfig.parse({"graph": {"max_streams": 100}})
    assert options.graph == GraphConfig(max_streams=100)


def test_an_unknown_key_names_the_nearest_one() -> None:
    with pytest.raises(UnknownKeyError, match="graph_update_order") as caught:
        PluginConfig.parse({"graph-updateorder": "update_first"})
    assert caught.value.nearest == "graph_update_order"


@pytest.mark.parametrize(
    "options",
    [
        {"graph_update_order": "later"},
        {"check_graph_inputs": "yes"},
        {"graph": {"max_streams": 0}},
        {"graph": {"max_stream": 100}},
        {"graph": {"max_streams": 100, "reserve_streams": 9}},
        {"graph": True},
        {"xlite_graph_config": {"full_mode": True}},
        {"xlite_graph_config": {"enable": True}},
        {"xlite_graph_config": True},
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
def test_a_backend_may_be_named_if_it_is_off(key: str) -> None:
    assert PluginConfig.parse({key: {"enabled": False}}) == PluginConfig()


@pytest.mark.parametrize("key", PEER_OPTIONS)
def test_an_option_of_vllm_ascend_is_refused_with_what_to_do(key: str) -> None:
    with pytest.raises(OptionError, match=rf"additional_config\.{key} = .*vllm-ascend") as caught:
        PluginConfig.parse({key: True})
    assert PEER_OPTIONS[key] in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    options = {
        "weight_nz_mode": 1,
        "enable_kv_nz": True,
        "check_graph_input": True,
        "graph_update_order": "later",
        "xlite_graph_config": {"enabled": "yes"},
        "torchair_graph_config": {"enabled": True},
    }
    with pytest.raises(SeveralOptionsError) as caught:
        PluginConfig.parse(options)
    assert len(caught.value.problems) == len(options)
    assert all(key in str(caught.value) for key in options)
