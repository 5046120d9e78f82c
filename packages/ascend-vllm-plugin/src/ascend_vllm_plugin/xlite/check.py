# SPDX-License-Identifier: Apache-2.0
"""What keeps xlite from running a configuration, found before anything is loaded."""

from collections.abc import Iterator, Mapping
from typing import Any

from ascend_core import OptionError
from ascend_xlite_bridge import (
    XliteConfig,
    XliteUnavailableError,
    XliteUnsupportedError,
    check_library,
    check_run,
)
from vllm.config import VllmConfig

from ascend_vllm_plugin.config import PluginConfig
from ascend_vllm_plugin.xlite.run import make_run

__all__ = ["architectures_of_xlite", "xlite_problems"]

_SEEING = ("Qwen3VLForConditionalGeneration", "Qwen3VLMoeForConditionalGeneration")


def architectures_of_xlite(vllm_config: VllmConfig) -> tuple[str, ...]:
    """Return the models that run here with xlite only.

    Parameters
    ----------
    vllm_config
        With options as the user gave them.

    Returns
    -------
    tuple of str
        Architectures; none if xlite is off.
    """
    return _SEEING if _is_enabled(vllm_config.additional_config) else ()


def xlite_problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    """Find what keeps xlite from running this model in this way, if it is turned on.

    Parameters
    ----------
    vllm_config
        With options as the user gave them, a model, and no problems of ``additional_config``.

    Yields
    ------
    OptionError
        If xlite is missing, or does not fit this machine, Python, torch or chip; and for every
        option and feature of the model that it does not do.
    """
    xlite = PluginConfig.of(vllm_config).xlite_graph_config
    if not xlite.enabled:
        return
    try:
        check_library()
    except XliteUnavailableError as error:
        option = "additional_config.xlite_graph_config.enabled"
        yield OptionError(option, True, error.reason, f"false; or: {error.remedy}")
    model, replicas = vllm_config.model_config, vllm_config.parallel_config.data_parallel_size
    if replicas > 1:
        reason = "replicas on xlite do not coordinate their steps in this version"
        yield OptionError("--data-parallel-size", replicas, reason, "1")
    try:
        check_run(model.hf_config, model.dtype, make_run(vllm_config))
    except XliteUnsupportedError as error:
        yield from error.problems


def _is_enabled(options: Mapping[str, Any]) -> bool:
    try:
        return XliteConfig.from_mapping(options.get("xlite_graph_config", {})).enabled
    except OptionError:  # `option_problems` names it
        return False
