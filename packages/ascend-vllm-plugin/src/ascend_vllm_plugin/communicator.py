# SPDX-License-Identifier: Apache-2.0
"""Communication between the devices of a server: HCCL, through torch.distributed."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed
from ascend_ops import gather_rows, sum_and_scatter_rows
from vllm.distributed.device_communicators.all2all import AgRsAll2AllManager
from vllm.distributed.device_communicators.base_device_communicator import DeviceCommunicatorBase

__all__ = ["NpuCommunicator"]


class NpuCommunicator(DeviceCommunicatorBase):
    """Collectives of one group of ranks, each on its own NPU."""

    ca_comm = None
    """No custom all-reduce: vLLM's is a CUDA kernel."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.use_all2all:
            self.all2all_manager = AgRsAll2AllManager(self.cpu_group)

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

    def all_gatherv(
        self, inputs: Sequence[torch.Tensor], dim: int, sizes: Sequence[int]
    ) -> list[torch.Tensor]:
        """Put the rows of all ranks one after the other, in each of several tensors."""
        assert dim == 0, "vLLM gathers tokens"
        return [gather_rows(each, sizes, self.device_group) for each in inputs]

    def reduce_scatterv(self, input_: torch.Tensor, dim: int, sizes: Sequence[int]) -> torch.Tensor:
        """Sum a tensor over all ranks, and keep the rows of this one."""
        assert dim == 0, "vLLM scatters tokens"
        return sum_and_scatter_rows(input_, sizes, self.device_group)

    def dispatch_router_logits(self, *tensors: Any) -> Any:
        """Give each rank the tokens of all replicas, for the experts that it holds."""
        return self.all2all_manager.dispatch_router_logits(*tensors)

    def combine(self, *tensors: Any) -> torch.Tensor:
        """Add up what the experts of all ranks made of this replica's tokens."""
        return self.all2all_manager.combine(*tensors)
