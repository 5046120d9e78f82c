# SPDX-License-Identifier: Apache-2.0
"""Which models the tests have compared with transformers, and in which modes."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from vllm.config import CUDAGraphMode, VllmConfig

from ascend_vllm_plugin.xlite.check import architectures_of_xlite

__all__ = ["tested_modes", "untried_model"]


def untried_model(vllm_config: VllmConfig) -> str:
    """Say in which way nobody has compared a model with transformers; empty if it was compared.

    Parameters
    ----------
    vllm_config
        With the graph mode that vLLM has settled on.
    """
    model = vllm_config.model_config
    if model is None or model.architecture in architectures_of_xlite(vllm_config):
        return ""  # what xlite alone runs is compared in Xlite mode
    modes = tested_modes().get(model.architecture, ())
    if not modes:
        return f"--model with {model.architecture}, whose answers were never compared"
    mode = vllm_config.compilation_config.cudagraph_mode or CUDAGraphMode.NONE
    name = "eager" if mode == CUDAGraphMode.NONE else mode.name
    return "" if name in modes else f"cudagraph_mode = {mode.name} with {model.architecture}"


@cache
def tested_modes() -> Mapping[str, frozenset[str]]:
    """Graph modes ("eager" for none) in which the tokens of an architecture were the right ones.

    Read from `tested_models.toml`, which the tests write.
    """
    text = files(__package__).joinpath("tested_models.toml").read_text()
    modes: dict[str, set[str]] = {}
    for row in tomllib.loads(text).get("model", []):
        modes.setdefault(row["architecture"], set()).update(row["modes"])
    return {architecture: frozenset(names) for architecture, names in modes.items()}
