# SPDX-License-Identifier: Apache-2.0
"""The plugin's own options: what vLLM passes through as ``additional_config``."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, get_args

from ascend_aclgraph import UpdateOrder
from ascend_core import OptionError, UnknownKeyError
from ascend_xlite_bridge import XliteConfig
from vllm.config import VllmConfig

__all__ = ["PluginConfig"]

_WHERE = "additional_config"
_LATER = ("xlite_graph_config", "torchair_graph_config")


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
    """

    graph_update_order: UpdateOrder = "replay_first"
    check_graph_inputs: bool = False

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
        UnknownKeyError
            If a key does not exist; names the nearest one that does.
        OptionError
            If a value is not valid, or asks for a backend that this version does not have.
        """
        names = [field.name for field in fields(cls)]
        for key in options:
            if key not in names and key not in _LATER:
                raise UnknownKeyError(key, (*names, *_LATER), _WHERE)
        _refuse_later_backends(options)
        config = cls(**{key: value for key, value in options.items() if key in names})
        config._check()
        return config

    def _check(self) -> None:
        orders = get_args(UpdateOrder)
        if self.graph_update_order not in orders:
            raise OptionError(
                f"{_WHERE}.graph_update_order", self.graph_update_order, "unknown order", orders
            )
        if not isinstance(self.check_graph_inputs, bool):
            raise OptionError(
                f"{_WHERE}.check_graph_inputs",
                self.check_graph_inputs,
                "not a boolean",
                "true, false",
            )


def _refuse_later_backends(options: Mapping[str, Any]) -> None:
    """Refuse the two graph backends that are known but not in this version yet, if enabled."""
    xlite = XliteConfig.from_mapping(options.get("xlite_graph_config", {}))
    torchair = options.get("torchair_graph_config", {})
    if not isinstance(torchair, Mapping):
        option = f"{_WHERE}.torchair_graph_config"
        raise OptionError(option, torchair, "not a mapping of options", '{"enabled": false}')
    enabled = {
        "xlite_graph_config": xlite.enabled,
        "torchair_graph_config": torchair.get("enabled"),
    }
    for key, value in enabled.items():
        if value:
            raise OptionError(
                f"{_WHERE}.{key}.enabled",
                value,
                "this backend is not in this version of ascend-vllm-plugin yet",
                "false; ACL graph mode is what runs, see --compilation-config cudagraph_mode",
            )
