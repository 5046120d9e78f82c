# SPDX-License-Identifier: Apache-2.0
"""The plugin's own options: what vLLM passes through as ``additional_config``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, get_args

from ascend_aclgraph import GraphConfig, UpdateOrder
from ascend_core import OptionError, SeveralOptionsError, UnknownKeyError, raise_problems
from ascend_xlite_bridge import XliteConfig
from vllm.config import VllmConfig

from ascend_vllm_plugin.peer_options import PEER_OPTIONS

__all__ = ["PluginConfig", "option_problems"]

_WHERE = "additional_config"
_GRAPH = "graph"
_XLITE = "xlite_graph_config"
_LATER = ("torchair_graph_config",)


@dataclass(frozen=True, kw_only=True)
class PluginConfig:
    """Options of ``additional_config``.

    Parameters
    ----------
    graph_update_order
        Whether a FULL replay is launched before ("replay_first", faster) or after ("update_first")
        its attention lengths are written. A device under a soft partition needs "update_first".
    check_graph_inputs
        Compare the addresses of a graph's inputs at every replay with those of its capture. Also on
        when vLLM logs at debug level.
    graph
        How many streams graphs may take.
    xlite_graph_config
        Whether xlite runs decode steps, or all of them, in place of graphs.
    """

    graph_update_order: UpdateOrder = "replay_first"
    check_graph_inputs: bool = False
    graph: GraphConfig = field(default_factory=GraphConfig)
    xlite_graph_config: XliteConfig = field(default_factory=XliteConfig)

    @classmethod
    def of(cls, vllm_config: VllmConfig) -> Self:
        """Read the options from vLLM's configuration."""
        return cls.parse(vllm_config.additional_config)

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
        """Check options and fill in defaults.

        Parameters
        ----------
        options
            As the user gave them.

        Raises
        ------
        OptionError, SeveralOptionsError
            If there are `option_problems`.
        """
        raise_problems(option_problems(options))
        graph = GraphConfig.from_mapping(options.get(_GRAPH, {}))
        xlite = XliteConfig.from_mapping(options.get(_XLITE, {}))
        names = {each.name for each in fields(cls)} - {_GRAPH, _XLITE}
        plain = {key: value for key, value in options.items() if key in names}
        return cls(**plain, graph=graph, xlite_graph_config=xlite)


def option_problems(options: Mapping[str, Any]) -> Iterator[OptionError]:
    """Find everything that is wrong with the plugin's options.

    Parameters
    ----------
    options
        ``additional_config`` as the user gave it.

    Yields
    ------
    UnknownKeyError
        For a key that does not exist; names the nearest one that does.
    OptionError
        For a key of vllm-ascend's, a value that is not valid, and the backend that this version
        does not have.
    """
    names = [each.name for each in fields(PluginConfig)]
    for key, value in options.items():
        if advice := PEER_OPTIONS.get(key):
            option = f"{_WHERE}.{key}"
            yield OptionError(option, value, "an option of vllm-ascend, not of this plugin", advice)
        elif key not in names and key not in _LATER:
            yield UnknownKeyError(key, (*names, *_LATER), _WHERE)
    order = options.get("graph_update_order", PluginConfig.graph_update_order)
    if order not in (orders := get_args(UpdateOrder)):
        yield OptionError(f"{_WHERE}.graph_update_order", order, "unknown order", orders)
    check = options.get("check_graph_inputs", PluginConfig.check_graph_inputs)
    if not isinstance(check, bool):
        option = f"{_WHERE}.check_graph_inputs"
        yield OptionError(option, check, "not a boolean", "true, false")
    for key, kind in ((_GRAPH, GraphConfig), (_XLITE, XliteConfig)):
        try:
            kind.from_mapping(options.get(key, {}))
        except OptionError as error:
            yield error
        except SeveralOptionsError as errors:
            yield from errors.problems
    yield from _torchair_problems(options.get("torchair_graph_config", {}))


def _torchair_problems(torchair: object) -> Iterator[OptionError]:
    """Refuse the graph backend that is known but not in this version yet, if it is enabled."""
    option = f"{_WHERE}.torchair_graph_config"
    if not isinstance(torchair, Mapping):
        yield OptionError(option, torchair, "not a mapping of options", '{"enabled": false}')
    elif enabled := torchair.get("enabled"):
        yield OptionError(
            f"{option}.enabled",
            enabled,
            "this backend is not in this version of ascend-vllm-plugin yet",
            "false; ACL graph mode is what runs, see --compilation-config cudagraph_mode",
        )
