# SPDX-License-Identifier: Apache-2.0
"""vLLM's worker, with public methods to call and to override in place of private ones."""

from contextlib import AbstractContextManager, nullcontext

from vllm.v1.worker import gpu_worker
from vllm.v1.worker.gpu_model_runner import GPUModelRunner

__all__ = ["OpenWorker", "skip_kernel_warmup"]


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


def skip_kernel_warmup() -> None:
    """Replace the warm-up of CUDA and Triton kernels by nothing.

    Reason: it imports torchvision and launches Triton kernels on any platform.
    Goes when: vLLM asks the platform.
    """
    gpu_worker.kernel_warmup = lambda worker: None  # noqa: ARG005
