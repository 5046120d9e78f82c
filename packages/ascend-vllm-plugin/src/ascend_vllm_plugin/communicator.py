# SPDX-License-Identifier: Apache-2.0
"""Communication between the devices of a server: HCCL, through torch.distributed."""

from vllm.distributed.device_communicators.xpu_communicator import XpuCommunicator

__all__ = ["NpuCommunicator"]


class NpuCommunicator(XpuCommunicator):
    """Collectives of one group of ranks, each on its own NPU.

    There is nothing of an XPU in vLLM's communicator for XPUs: it is plain torch.distributed on the
    group that it is given, out of place where a compiled graph needs that. vLLM's
    ``GroupCoordinator.graph_capture`` takes no other class beside CUDA's (parallel_state.py 693),
    and asks it for a custom all-reduce, which this one says it has not.
    """
