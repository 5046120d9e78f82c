# SPDX-License-Identifier: Apache-2.0
"""What refers to an engine's model, weights and graphs from outside of the engine."""

from typing import Any

import torch
from torch._dynamo import convert_frame
from vllm.compilation.cuda_graph import CUDAGraphWrapper
from vllm.config import VllmConfig

__all__ = ["graph_wrappers", "release_compiled_code"]


def graph_wrappers(vllm_config: VllmConfig) -> list[Any]:
    """List the graph wrappers of one engine's model, and not of an earlier one in the process.

    Reason: vLLM keeps all wrappers of the process in a private set.
    Goes when: a runner lists its graphs.
    """
    wrappers = CUDAGraphWrapper._all_instances
    return [wrapper for wrapper in wrappers if wrapper.vllm_config is vllm_config]


def release_compiled_code(model: Any) -> None:
    """Take a model's compiled code out of Dynamo's registries, which would keep it forever.

    Reason: what is compiled stays referred to from two places, and it has the model, hence weights
    and graphs. One is Dynamo's list of backends (`eval_frame.cached_backends`). The other is vLLM's
    bytecode hook: a class that is compiled and whose base class is too (Qwen3Model is a Qwen2Model)
    registers two hooks per object and keeps the handle of the last one only.
    Other compiled functions of the process are compiled again at their next call. Other engines are
    not: vLLM calls their bytecode itself.
    Goes when: an engine of vLLM leaves nothing behind when it is shut down.

    Parameters
    ----------
    model
        A module, or a graph wrapper around one.
    """
    modules = {id(module) for module in model.modules()}
    hooks = convert_frame._bytecode_hooks
    for key, hook in list(hooks.items()):
        if id(getattr(hook, "__self__", None)) in modules:
            del hooks[key]
    torch.compiler.reset()
