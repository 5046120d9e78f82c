# SPDX-License-Identifier: Apache-2.0
"""vLLM's V1 model runner, with a public method to override in place of a private one."""

from typing import Any

from vllm.v1.worker import gpu_model_runner

__all__ = ["OpenModelRunner", "install_graph_wrapper"]


class OpenModelRunner(gpu_model_runner.GPUModelRunner):
    """A model runner that says when a step begins.

    Reason: only this private method tells a real step from a dummy run.
    Goes when: the runner has a public hook around a step.
    """

    def begin_step(self) -> None:
        """Do nothing; called before each real step, within its forward context."""

    def _model_forward(self, *args: Any, **kwargs: Any) -> Any:
        self.begin_step()
        return super()._model_forward(*args, **kwargs)


def install_graph_wrapper(wrapper: type[Any]) -> None:
    """Make the runner wrap the whole model in our class.

    Reason: for FULL graphs gpu_model_runner.py names CUDAGraphWrapper, not the platform's class.
    Goes when: it asks `get_static_graph_wrapper_cls`, as it does for PIECEWISE.

    Parameters
    ----------
    wrapper
        A subclass of CUDAGraphWrapper.
    """
    gpu_model_runner.CUDAGraphWrapper = wrapper
