# SPDX-License-Identifier: Apache-2.0
"""The V1 model runner on the NPU: vLLM's own, with xlite where it is on, and with counters."""

from typing import Any

import torch
import torch_npu
from ascend_aclgraph import CapturePlan, Coverage, StepStats, report_shortage
from ascend_core import Device, StreamSupply
from ascend_ops import CacheHalves
from vllm.config import CUDAGraphMode, VllmConfig, get_layers_from_vllm_config
from vllm.distributed import get_tp_group, get_world_group
from vllm.distributed.parallel_state import is_global_first_rank
from vllm.forward_context import ForwardContext, get_forward_context
from vllm.logger import init_logger
from vllm.model_executor.layers.attention import Attention

from ascend_vllm_plugin.attention import NpuAttentionMetadata
from ascend_vllm_plugin.compat.deepstack import deepstack_of
from ascend_vllm_plugin.compat.engine_memory import graph_wrappers
from ascend_vllm_plugin.compat.model_runner import OpenModelRunner, replace_forward
from ascend_vllm_plugin.config import PluginConfig
from ascend_vllm_plugin.graph_dispatcher import NpuDispatcher
from ascend_vllm_plugin.self_check import tolerance, unequal_sizes
from ascend_vllm_plugin.stats import path_of_step
from ascend_vllm_plugin.xlite.steps import XliteSteps

__all__ = ["NpuModelRunner"]

logger = init_logger(f"vllm.{__name__}")


class NpuModelRunner(OpenModelRunner):
    """Runs the model. `alias_torch_cuda` must have been called.

    Parameters
    ----------
    vllm_config
        vLLM's configuration.
    device
        An NPU.
    supply
        Its streams, watched since the process began to use it.

    Attributes
    ----------
    plan
        What was captured, and what was left out and why; None before, or without graphs.
    xlite
        What runs the steps that are xlite's, from the time that the model is loaded; None without.
    """

    def __init__(self, vllm_config: VllmConfig, device: torch.device, supply: StreamSupply) -> None:
        super().__init__(vllm_config, device)
        # A stage prepares the next batch, in the same host memory, while the device may still copy
        # this one. vLLM waits for the copies only if it schedules asynchronously.
        if vllm_config.parallel_config.pipeline_parallel_size > 1:
            self.prepare_inputs_event = torch_npu.npu.Event()
        self.cudagraph_dispatcher = NpuDispatcher(vllm_config)
        self._supply = supply
        self.plan: CapturePlan | None = None
        self.step_stats = StepStats()
        self.graph_memory = 0
        self.xlite: XliteSteps | None = None

    def load_model(self, *args: Any, **options: Any) -> None:
        """Load the weights as vLLM does, and give them to xlite if it is on.

        The engine takes its memory here, before vLLM measures how much is left for the KV cache.
        """
        super().load_model(*args, **options)
        if not PluginConfig.of(self.vllm_config).xlite_graph_config.enabled:
            return
        ranks = get_tp_group()
        self.xlite = XliteSteps.create(self.vllm_config, self.get_model(), self.device, ranks)
        if self.xlite.is_full:
            # Nothing else runs the decoder, so its activations need no memory.
            replace_forward(self.get_model(), self._dummy_hidden_states)

    def reload_weights(self, *args: Any, **options: Any) -> None:
        """Load other weights as vLLM does, into the tensors that xlite reads.

        Raises
        ------
        XliteReplacedWeightError
            If they came to lie elsewhere.
        """
        super().reload_weights(*args, **options)
        if self.xlite:
            self.xlite.check_weights(self.get_model())

    def initialize_kv_cache(self, *args: Any, **options: Any) -> None:
        """Make the KV cache, and tell xlite where it is."""
        super().initialize_kv_cache(*args, **options)
        if self.xlite:
            layers = get_layers_from_vllm_config(self.vllm_config, Attention).values()
            self.xlite.bind_kv_cache(
                CacheHalves.of(layer.kv_cache, layer.head_size) for layer in layers
            )

    def capture_model(self) -> int:
        """Capture graphs as far as the device goes, and note the memory that took, in bytes.

        Raises
        ------
        ascend_aclgraph.CaptureError
            If a capture fails for another reason than lack of something, or if none succeeds.
        """
        dispatcher = self.cudagraph_dispatcher
        most, group = self.scheduler_config.max_num_seqs, get_world_group().cpu_group
        coverages = {
            mode.name: Coverage((each.num_tokens for each in descriptors), most=most, group=group)
            for mode, descriptors in dispatcher.get_capture_descs()
        }
        if coverages:
            self.plan = CapturePlan(
                coverages,
                budget=PluginConfig.of(self.vllm_config).graph.budget(self._supply),
                device=Device(self.device.index),
                close=self._close_graphs,
                group=group,
            )
            dispatcher.comes_first = self.plan.comes_first
        self.graph_memory = int(super().capture_model())
        for name, coverage in coverages.items():
            dispatcher.leave_out(CUDAGraphMode[name], coverage.left_out)
        if self.parallel_config.data_parallel_size > 1 and "PIECEWISE" in coverages:
            # A replica in a full graph takes the piecewise one of that size if another needs it.
            dispatcher.leave_out(CUDAGraphMode.FULL, coverages["PIECEWISE"].left_out)
        report = report_shortage(coverages)
        if report and is_global_first_rank():
            logger.warning("%s", report)
        if coverages and PluginConfig.of(self.vllm_config).graph.self_check == "startup":
            self._check_graphs()
        return self.graph_memory

    def _check_graphs(self) -> None:
        """Use no graph that differs from an eager run."""
        parallel = self.parallel_config
        if self.xlite or max(parallel.pipeline_parallel_size, parallel.data_parallel_size) > 1:
            logger.warning(
                "graphs were not compared with eager runs: graph.self_check knows one stage, one "
                "replica, and no xlite"
            )
            return
        for mode, differences in unequal_sizes(self).items():
            if is_global_first_rank():
                logger.error(
                    "self-check: %s graphs of these sizes differ from eager runs, by as much of "
                    "the largest hidden state: %s (allowed: %.2g). They are not used. Please "
                    "report it; another --compilation-config cudagraph_mode may be right",
                    mode.name,
                    ", ".join(f"{size}: {part:.2g}" for size, part in differences.items()),
                    tolerance(self.model_config.dtype),
                )
            self.cudagraph_dispatcher.leave_out(mode, differences)
            for size in differences:
                self._close_graphs(mode.name, size)

    def capture_size(
        self, mode: CUDAGraphMode, num_tokens: int, capture: Any, execute: Any
    ) -> None:
        """Capture the graphs of a size, if there is enough of everything for them."""
        assert self.plan is not None
        self.plan.capture(mode.name, num_tokens, capture, execute)

    def _close_graphs(self, mode: str, num_tokens: int) -> None:
        for wrapper in graph_wrappers(self.vllm_config):
            if wrapper.runtime_mode.name == mode:
                wrapper.close_graphs(num_tokens)

    def may_use_graph(self, num_tokens: int, num_requests: int) -> bool:
        """Say that a step may run in a graph: xlite's are not padded to the size of one."""
        return not (self.xlite and self.xlite.takes(num_tokens, num_requests))

    def describe_step(
        self,
        mode: CUDAGraphMode,
        num_tokens: int,
        num_requests: int,
        *,
        decode: bool,
        together: bool,
    ) -> str:
        """Note what will run a step, and why; see `StepMetrics` for the words."""
        takes = self.xlite and self.xlite.takes(num_tokens, num_requests)
        largest = max(self.compilation_config.cudagraph_capture_sizes, default=0)
        self._is_held_back = together and num_tokens <= largest
        self._path = path_of_step(
            mode,
            self.compilation_config.cudagraph_mode,
            xlite=self.xlite.mode if self.xlite and takes else "",
            decode=decode,
            left_out=self.cudagraph_dispatcher.lacks(num_tokens),
            held_back=self._is_held_back,
        )
        return ", ".join(("decode" if decode else "prefill", self._path.name, self._path.cause))

    def run_step(self, **inputs: Any) -> Any:
        """Run a real step on xlite, or as vLLM does, and count it."""
        context = get_forward_context()
        metadata: NpuAttentionMetadata = next(iter(context.attn_metadata.values()))
        xlite = self.xlite
        if xlite and not xlite.takes(metadata.num_real_tokens, len(metadata.query_ends)):
            xlite = None
        self._count(context, metadata)
        if xlite is None:
            return self.run_model(**inputs)
        with deepstack_of(self.get_model(), metadata.num_real_tokens) as deepstack:
            return xlite.forward(
                metadata,
                positions=inputs["positions"],
                input_ids=inputs["input_ids"],
                inputs_embeds=inputs["inputs_embeds"],
                deepstack=deepstack,
                host_table=self.input_batch.block_table[0].get_cpu_tensor(),
            )

    def _count(self, context: ForwardContext, metadata: NpuAttentionMetadata) -> None:
        """Count a real step, and warn of the first decode step that runs without a graph."""
        decode, path = metadata.max_query_len == 1, self._path
        is_surprise = (
            decode
            and not self._is_held_back
            and path.name == "eager"
            and self.compilation_config.cudagraph_mode != CUDAGraphMode.NONE
            and not self.step_stats.eager_decode_steps
        )
        if is_surprise:
            logger.warning(
                "a decode step of %d requests ran without a graph: %s. More are counted, not "
                "logged. Sizes are those of cudagraph_capture_sizes: %s",
                metadata.num_real_tokens,
                path.cause,
                self.compilation_config.cudagraph_capture_sizes,
            )
        computed = context.batch_descriptor.num_tokens
        self.step_stats.count(path, metadata.num_real_tokens, computed, decode=decode)

    def _dummy_hidden_states(self, positions: torch.Tensor, **inputs: Any) -> torch.Tensor:  # noqa: ARG002
        """Stand for the decoder in dummy runs: only what xlite returns takes memory of torch."""
        config = self.model_config
        size = (positions.shape[-1], config.get_hidden_size())
        return torch.zeros(size, dtype=config.dtype, device=self.device)
