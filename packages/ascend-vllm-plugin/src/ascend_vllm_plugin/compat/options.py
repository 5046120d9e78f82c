# SPDX-License-Identifier: Apache-2.0
"""Options: checked before vLLM overwrites or refuses them, and those that it must not act on."""

import functools
from collections.abc import Callable
from typing import Any, NoReturn

from ascend_core import OptionError
from vllm.config import CUDAGraphMode, VllmConfig

__all__ = ["FUSION_PASSES", "check_before_vllm", "clear_fusion_passes", "name_unknown_graph_modes"]

FUSION_PASSES = ("fuse_", "enable_qk_norm")
"""How the names of vLLM's fusion passes begin, in `PassConfig`."""


class _GraphModes(dict[str, Any]):
    """Graph modes by name, with an error that says which option was wrong."""

    def __missing__(self, name: str) -> NoReturn:
        raise OptionError("cudagraph_mode", name, "unknown mode", tuple(self))


def name_unknown_graph_modes() -> None:
    """Give an unknown cudagraph_mode on the command line an error of its own. Idempotent.

    Reason: vLLM looks the name up in the enumeration, and the user sees "KeyError: 'FULLY'". (In
    Python that still happens: `LLM` looks it up before it asks the platform anything.)
    Goes when: vLLM validates the name.
    """
    if not isinstance(CUDAGraphMode._member_map_, _GraphModes):
        CUDAGraphMode._member_map_ = _GraphModes(CUDAGraphMode._member_map_)


def check_before_vllm(check: Callable[[VllmConfig], None]) -> None:
    """Check every configuration before vLLM looks at it. Only the first call has an effect.

    Reason: the first hook of a platform runs after vLLM has overwritten the graph mode that
    contradicts --enforce-eager, and after it has refused others in words about CUDA or its V2
    runner. (It is there that options are as the user gave them, all at once.)
    Goes when: a platform hook sees the options as given.

    Parameters
    ----------
    check
        Raises an error for a configuration that is to be refused.
    """
    original = VllmConfig.__post_init__
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def checked(self: VllmConfig) -> None:
        check(self)
        original(self)

    VllmConfig.__post_init__ = checked


def clear_fusion_passes(vllm_config: VllmConfig) -> None:
    """Turn off the fusion passes, which vLLM imports for CUDA, ROCm and XPU only.

    Reason: -O1 and -O2 switch some on by custom operator, and PostGradPassManager then fails with a
    NameError, also with backend "eager".
    Goes when: vLLM asks the platform which passes it has.
    """
    passes = vllm_config.compilation_config.pass_config
    for name in vars(passes):
        if name.startswith(FUSION_PASSES):
            setattr(passes, name, False)
