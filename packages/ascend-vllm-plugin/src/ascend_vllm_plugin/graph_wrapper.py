# SPDX-License-Identifier: Apache-2.0
"""Where vLLM's dispatch of graphs meets ACL graphs.

vLLM wraps the whole model (FULL) and each piece of it between attention layers (PIECEWISE) in an
object of this class. For every batch descriptor the first call in the mode captures, and later ones
replay. What vLLM decides (modes, sizes, padding) stays vLLM's; capture, memory, updates and
ordering are those of `ascend_aclgraph`.
"""

from collections.abc import Callable
from typing import Any, cast

from ascend_aclgraph import (
    CaptureError,
    CaptureOptions,
    GraphCache,
    GraphStats,
    InputAddresses,
    Update,
)
from ascend_core import Device, Feature
from vllm.compilation.counter import compilation_counter
from vllm.compilation.cuda_graph import CUDAGraphOptions, CUDAGraphWrapper
from vllm.compilation.monitor import validate_cudagraph_capturing_enabled
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.forward_context import (
    BatchDescriptor,
    ForwardContext,
    get_forward_context,
    is_forward_context_available,
)
from vllm.logger import init_logger

from ascend_vllm_plugin.config import PluginConfig

__all__ = ["NpuGraphWrapper"]

logger = init_logger(f"vllm.{__name__}")

_ANOTHER_MODE = {
    CUDAGraphMode.FULL: (
        '--compilation-config \'{"cudagraph_mode": "PIECEWISE"}\': attention outside of graphs'
    ),
    CUDAGraphMode.PIECEWISE: (
        '--compilation-config \'{"cudagraph_mode": "FULL_DECODE_ONLY"}\': one graph per size'
    ),
}
_FLAGS_TO_TRY = (
    "--max-num-seqs N or --cudagraph-capture-sizes N ...: fewer and smaller graphs",
    "--gpu-memory-utilization with a lower value: more memory for graphs",
    "--enforce-eager: no graphs",
)


class NpuGraphWrapper(CUDAGraphWrapper):
    """A callable with a graph per batch descriptor, for one of vLLM's runtime modes.

    Parameters
    ----------
    runnable
        The model, or a piece of it.
    vllm_config
        vLLM's configuration, with this plugin's in ``additional_config``.
    runtime_mode
        FULL or PIECEWISE; calls in another mode go straight to `runnable`.
    cudagraph_options
        How vLLM wants outputs to be kept.
    """

    def __init__(
        self,
        runnable: Callable[..., Any],
        vllm_config: VllmConfig,
        runtime_mode: CUDAGraphMode,
        cudagraph_options: CUDAGraphOptions | None = None,
    ) -> None:
        super().__init__(runnable, vllm_config, runtime_mode, cudagraph_options)
        config = PluginConfig.of(vllm_config)
        self._check_inputs = config.check_graph_inputs or self.is_debugging_mode
        self._options = CaptureOptions(
            warmup=0,  # vLLM has run each size eagerly just before
            order=config.graph_update_order,
            hold_outputs=not self.cudagraph_options.weak_ref_output,
        )
        self._addresses: dict[BatchDescriptor, InputAddresses] = {}
        # The platform's "pool handle" is a MemoryPool, which all wrappers share.
        self._graphs = GraphCache(pool=self.graph_pool)

    @property
    def stats(self) -> GraphStats:
        """What the graphs of this wrapper did, by batch descriptor."""
        return self._graphs.stats

    @property
    def captures(self) -> dict[BatchDescriptor, int]:
        """How many graphs were captured for each batch descriptor that has one."""
        captures = cast("dict[BatchDescriptor, int]", self.stats.captures)
        return {key: count for key, count in captures.items() if key in self._graphs}

    def clear_graphs(self) -> None:
        """Close all graphs."""
        self._graphs.close()
        self._addresses.clear()

    def close_graphs(self, num_tokens: int) -> None:
        """Close the graphs of one size."""
        for descriptor in [key for key in self._addresses if key.num_tokens == num_tokens]:
            self._graphs.discard(descriptor)
            del self._addresses[descriptor]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the step: eagerly, by capturing it, or by replaying its graph."""
        if not is_forward_context_available():
            return self.runnable(*args, **kwargs)
        context = get_forward_context()
        if context.cudagraph_runtime_mode != self.runtime_mode:
            return self.runnable(*args, **kwargs)
        descriptor = context.batch_descriptor
        assert descriptor is not None
        graph = self._graphs.get(descriptor)
        if graph is None:
            return self._capture(descriptor, args, kwargs)
        if self._check_inputs:
            name = f"the {self.runtime_mode.name} graph of {descriptor}"
            self._addresses[descriptor].check((*args, *kwargs.values()), name)
        return graph.replay(_lengths(context) if graph.records else None)

    def _capture(
        self, descriptor: BatchDescriptor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        validate_cudagraph_capturing_enabled()
        if self.cudagraph_options.debug_log_enable:
            logger.debug("capturing %s %s", self.runtime_mode.name, descriptor)
        self._addresses[descriptor] = InputAddresses((*args, *kwargs.values()))
        try:
            graph = self._graphs.capture(
                descriptor, lambda: self.runnable(*args, **kwargs), options=self._options
            )
        except CaptureError as error:
            raise self._explained(error, descriptor) from error.__cause__
        compilation_counter.num_cudagraph_captured += 1
        # The piece after this one is captured next and reads these outputs: the caller holds them
        # until then, the graph does not.
        outputs = graph.outputs
        graph.release_outputs()
        return outputs

    def _explained(self, error: CaptureError, descriptor: BatchDescriptor) -> CaptureError:
        """Say which size failed in vLLM's words, and which of its flags help."""
        label = f"{self.runtime_mode.name}, {descriptor.num_tokens} tokens"
        has_both_modes = Device().supports(Feature.VALUE_WAIT)
        another_mode = (_ANOTHER_MODE[self.runtime_mode],) if has_both_modes else ()
        advice = (*error.advice, *another_mode, *_FLAGS_TO_TRY)
        return CaptureError(
            error.code, error.call, error.detail, label=label, origin=error.origin, advice=advice
        )


def _lengths(context: ForwardContext) -> Update:
    """Host arguments of this step's attention: by layer, unless all layers share one cache."""
    by_layer = context.attn_metadata
    first = next(iter(by_layer.values()))
    if all(metadata is first for metadata in by_layer.values()):
        shared: dict[str, list[int]] = first.lengths
        return shared
    return {layer: metadata.lengths for layer, metadata in by_layer.items()}
