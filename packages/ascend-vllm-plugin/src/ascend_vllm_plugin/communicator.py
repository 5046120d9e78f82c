# SPDX-License-Identifier: Apache-2.0
"""Communication between the devices of a server: HCCL, through torch.distributed."""

import torch
import torch.distributed
from vllm.distributed.device_communicators.base_device_communicator import DeviceCommunicatorBase

__all__ = ["NpuCommunicator"]


class NpuCommunicator(DeviceCommunicatorBase):
    """Collectives of one group of ranks, each on its own NPU."""

    ca_comm = None
    """No custom all-reduce: vLLM's is a CUDA kernel."""

    def all_reduce(self, input_: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over all ranks.

        Parameters
        ----------
        input_
            On this rank's device. It is left as it is: vLLM's all-reduce is an operator of the
            compiled graph, which must not write to its input.

        Returns
        -------
        torch.Tensor
            The sum, like `input_`.
        """
        total = input_.clone()
        torch.distributed.all_reduce(total, group=self.device_group)
        return total
