# SPDX-License-Identifier: Apache-2.0
"""The Triton kernel of the V1 runner."""

from collections.abc import Callable

from vllm.triton_utils.dispatcher import register_kernels

__all__ = ["replace_slot_mapping"]


def replace_slot_mapping(kernel: Callable[..., None]) -> None:
    """Replace the slot mapping kernel of the V1 runner.

    Reason: there is no Triton for the NPU here. vLLM's registry of replacements is public, the name
    of the kernel is not.
    Goes when: the V1 runner does.

    Parameters
    ----------
    kernel
        Takes the arguments of vLLM's kernel, by their names.
    """
    register_kernels({"vllm.v1.worker.block_table.ComputeSlotMappingKernel.kernel": kernel})
