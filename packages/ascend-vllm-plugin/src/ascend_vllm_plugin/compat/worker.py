# SPDX-License-Identifier: Apache-2.0
"""vLLM's worker, with public methods to call and to override in place of private ones."""

import atexit
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from vllm.distributed import destroy_distributed_environment, destroy_model_parallel
from vllm.distributed.device_communicators import xpu_communicator
from vllm.v1.worker import gpu_worker
from vllm.v1.worker.gpu_model_runner import GPUModelRunner

__all__ = ["OpenWorker", "accept_communicator", "destroy_groups_at_exit", "skip_kernel_warmup"]


class OpenWorker(gpu_worker.Worker):
    """A worker that lets a subclass choose the model runner.

    Reason: vLLM's worker has these as private methods.
    Goes when: a worker can name the class of its runner.
    """

    def make_model_runner(self) -> GPUModelRunner:
        """Make the runner of this worker's model; vLLM's for CUDA, if not overridden."""
        return super()._make_model_runner()

    def prepare_model_runner(self) -> None:
        """Prepare the workspace and set ``model_runner``, after the device is set."""
        self._init_workspace_and_model_runner()

    def _make_model_runner(self) -> GPUModelRunner:
        return self.make_model_runner()

    def _maybe_get_memory_pool_context(self, tag: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Leave torch_npu's allocator in place; vLLM's own is for CUDA."""
        return nullcontext()


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


def skip_kernel_warmup() -> None:
    """Replace the warm-up of CUDA and Triton kernels by nothing.

    Reason: it imports torchvision and launches Triton kernels on any platform.
    Goes when: vLLM asks the platform.
    """
    gpu_worker.kernel_warmup = lambda worker: None  # noqa: ARG005


def destroy_groups_at_exit() -> None:
    """Destroy vLLM's process groups before torch_npu destroys all groups at exit.

    Reason: an engine in the same process is shut down by a finalizer that runs after torch_npu's
    exit hook, and then complains of groups that are gone. Exit hooks run last in, first out.
    Goes when: `LLM` has a close method that everybody calls, or vLLM checks before it destroys.
    """
    atexit.register(destroy_distributed_environment)
    atexit.register(destroy_model_parallel)
