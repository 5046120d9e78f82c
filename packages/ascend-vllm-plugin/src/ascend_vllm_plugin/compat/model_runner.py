# SPDX-License-Identifier: Apache-2.0
"""vLLM's V1 model runner, with public methods to override in place of private ones."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from vllm.compilation.cuda_graph import CUDAGraphStat
from vllm.v1.worker import gpu_model_runner

__all__ = ["OpenModelRunner", "install_graph_wrapper", "replace_forward"]


class OpenModelRunner(gpu_model_runner.GPUModelRunner):
    """A model runner that lets a subclass run real steps, and captures, its own way.

    Reason: only these private methods tell a real step from a dummy run, and one size from another.
    Goes when: the runner has a public hook around a step and around the capture of a size.
    """

    describe_step: Callable[..., str]
    """Describes a real step to the server's metrics, when vLLM has chosen its mode."""

    def may_use_graph(self, num_tokens: int, num_requests: int) -> bool:  # noqa: ARG002
        """Say that a step may be padded to the size of a graph, and run in it."""
        return True

    def run_step(self, **inputs: Any) -> Any:
        """Run a real step, within its forward context: with `run_model`, if not overridden."""
        return self.run_model(**inputs)

    def run_model(self, **inputs: Any) -> Any:
        """Run the model as vLLM does.

        Parameters
        ----------
        **inputs
            Of the model.

        Returns
        -------
        Any
            Its output.
        """
        return super()._model_forward(**inputs)

    def dummy_step(self, mode: Any, lengths: torch.Tensor, *, decode: bool) -> torch.Tensor:
        """Run the model on what is in the buffers of the runner, writing nothing to the cache.

        Reason: only a private method runs a step without requests.
        Goes when: a public one does.

        Parameters
        ----------
        mode
            ``CUDAGraphMode``: NONE for an eager run; another one replays a graph of that mode.
        lengths
            ``[requests]``, int32, on the host: cached and new tokens of each, of which 1 is new.
        decode
            Whether the step takes the graphs that are for decode steps alone.

        Returns
        -------
        torch.Tensor
            ``[requests, hidden_size]``. A replay's are overwritten by the next one.
        """
        hidden, _ = self._dummy_run(
            len(lengths),
            cudagraph_runtime_mode=mode,
            force_attention=True,
            uniform_decode=decode,
            skip_eplb=True,
            profile_seq_lens=lengths,
        )
        return hidden[: len(lengths)]

    def sample_tokens(self, *arguments: Any, **options: Any) -> Any:
        """Sample as vLLM does, and let what the host gets outlive its copy.

        Reason: a rank that is not asked for its output drops it at once, and its memory is written
        again while the copy, on a stream of its own, may not have read it yet.
        Goes when: vLLM records the stream.
        """
        output: Any = super().sample_tokens(*arguments, **options)
        is_copied = isinstance(output, gpu_model_runner.AsyncGPUModelRunnerOutput)
        if is_copied and self.parallel_config.world_size > 1:
            tensors = (output._sampled_token_ids, *(output._logprobs_tensors or ()))
            for tensor in filter(torch.is_tensor, tensors):
                tensor.record_stream(self._get_or_create_async_output_copy_stream())
        return output

    def capture_size(
        self,
        mode: Any,  # noqa: ARG002
        num_tokens: int,  # noqa: ARG002
        capture: Callable[[], None],
        execute: Callable[[], None],  # noqa: ARG002
    ) -> None:
        """Capture the graphs of a size and mode; what was captured can be executed once."""
        capture()

    def _warmup_and_capture(self, desc: Any, cudagraph_runtime_mode: Any, **options: Any) -> None:
        capture = functools.partial(
            super()._warmup_and_capture, desc, cudagraph_runtime_mode, **options
        )
        # A dummy run in a mode that has its graph replays it.
        execute = functools.partial(capture, num_warmups=0)
        self.capture_size(cudagraph_runtime_mode, desc.num_tokens, capture, execute)

    def _model_forward(self, **inputs: Any) -> Any:
        return self.run_step(**inputs)

    def _determine_batch_execution_and_padding(
        self, num_tokens: int, num_reqs: int, **options: Any
    ) -> Any:
        # A dummy run says which routine it stands for; a real step leaves that to be found out.
        is_real = options.get("force_uniform_decode") is None
        if is_real and not self.may_use_graph(num_tokens, num_reqs):
            options["force_eager"] = True
        chosen: Any = super()._determine_batch_execution_and_padding(
            num_tokens, num_reqs, **options
        )
        if not is_real:
            return chosen
        mode, descriptor, _, replicas, _ = chosen
        decode = options["max_num_scheduled_tokens"] == 1
        step = self.describe_step(
            mode, num_tokens, num_reqs, decode=decode, together=replicas is not None
        )
        # Also without --cudagraph-metrics: vLLM takes it to the server, and logs it only with that.
        padded = descriptor.num_tokens
        return (*chosen[:-1], CUDAGraphStat(num_tokens, padded, padded - num_tokens, step))


def replace_forward(model: nn.Module, forward: Callable[..., Any]) -> None:
    """Let dummy runs call another function than the model's `forward`.

    Reason: dummy runs call the model, and not the private method that real steps go through.
    Goes when: they go through it too.

    Parameters
    ----------
    model
        Without a graph wrapper around it.
    forward
        Gets the inputs of the model by name.
    """
    model.forward = forward


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
