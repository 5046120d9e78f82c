# SPDX-License-Identifier: Apache-2.0
"""Which communicators vLLM captures graphs with."""

from typing import Any

from vllm.distributed.device_communicators import xpu_communicator

__all__ = ["accept_communicator"]


def accept_communicator(communicator: type[Any]) -> None:
    """Let a class of our own stand where vLLM expects the communicator for XPUs.

    Reason: `GroupCoordinator.graph_capture` asserts that a group communicates by CUDA's class or by
    XPU's, and asks it for ``ca_comm``, its custom all-reduce.
    Goes when: it takes any `DeviceCommunicatorBase`.

    Parameters
    ----------
    communicator
        Has the attribute ``ca_comm``.
    """
    xpu_communicator.XpuCommunicator = communicator
