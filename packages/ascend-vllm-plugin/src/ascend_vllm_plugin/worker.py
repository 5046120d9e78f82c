# SPDX-License-Identifier: Apache-2.0
"""The worker: one NPU, its memory, and the model runner on it."""

from typing import Any

import torch
import torch_npu
from ascend_aclgraph import check_equal_on_ranks
from ascend_core import Device, StreamSupply, probe
from ascend_xlite_bridge import XliteRankError
from vllm.config import CUDAGraphMode
from vllm.distributed import get_world_group
from vllm.logger import init_logger
from vllm.platforms import current_platform
from vllm.platforms.interface import set_assigned_physical_gpu_ids
from vllm.utils.gc_utils import freeze_gc_heap
from vllm.utils.mem_utils import MemorySnapshot
from vllm.utils.torch_utils import set_random_seed
from vllm.v1.worker.gpu_worker import init_worker_distributed_environment
from vllm.v1.worker.utils import request_memory
from vllm.v1.worker.worker_base import CompilationTimes

from ascend_vllm_plugin import refusals
from ascend_vllm_plugin.communicator import NpuCommunicator
from ascend_vllm_plugin.compat.engine_memory import graph_wrappers, release_compiled_code
from ascend_vllm_plugin.compat.model_runner import install_graph_wrapper
from ascend_vllm_plugin.compat.torch_cuda import alias_torch_cuda
from ascend_vllm_plugin.compat.weights import name_unfit_weights
from ascend_vllm_plugin.compat.worker import (
    OpenWorker,
    accept_communicator,
    destroy_groups_at_exit,
    skip_kernel_warmup,
)
from ascend_vllm_plugin.config import PluginConfig
from ascend_vllm_plugin.graph_wrapper import NpuGraphWrapper
from ascend_vllm_plugin.model_runner import NpuModelRunner
from ascend_vllm_plugin.process.failed_start import begins_engine
from ascend_vllm_plugin.process.sockets import in_socket_folder
from ascend_vllm_plugin.stats import graph_counts

__all__ = ["NpuWorker"]

logger = init_logger(f"vllm.{__name__}")


class NpuWorker(OpenWorker):
    """vLLM's worker on an NPU."""

    model_runner: NpuModelRunner

    @begins_engine
    def init_device(self) -> None:
        """Take the device, note its memory, and make the model runner."""
        alias_torch_cuda()
        install_graph_wrapper(NpuGraphWrapper)
        accept_communicator(NpuCommunicator)
        skip_kernel_warmup()
        name_unfit_weights()
        index = self.local_rank
        # What Ray gives to an engine, or vLLM to each of several replicas.
        if (chosen := self.parallel_config.assigned_physical_gpu_ids) is not None:
            set_assigned_physical_gpu_ids(chosen)
            index = current_platform.logical_device_id_to_visible_device_id(index)
        self.device = torch.device("npu", index)
        torch_npu.npu.set_device(self.device)
        self._supply = StreamSupply(Device(self.device.index))
        meeting = in_socket_folder(self.distributed_init_method)
        # vLLM takes the local rank for the number of the device that its groups communicate from.
        init_worker_distributed_environment(
            self.vllm_config, self.rank, meeting, index, current_platform.dist_backend
        )
        destroy_groups_at_exit()
        if not PluginConfig.of(self.vllm_config).xlite_graph_config.full_mode:
            refusals.check_kernel(self.vllm_config)
        set_random_seed(self.model_config.seed)
        # Half of an engine's start is garbage collection (measured: 18 runs of 0.5 s) over what the
        # imports have made, which is not garbage. vLLM freezes the heap again when it is ready.
        freeze_gc_heap()
        torch_npu.npu.empty_cache()
        self.init_snapshot = MemorySnapshot(device=self.device)
        self.requested_memory = request_memory(self.init_snapshot, self.cache_config)
        self._graph_reserve = 0
        self.prepare_model_runner()

    def make_model_runner(self) -> NpuModelRunner:
        """Make the runner of this worker's model."""
        return NpuModelRunner(self.vllm_config, self.device, self._supply)

    @begins_engine
    def load_model(self, **options: Any) -> None:
        """Load the weights, as vLLM does."""
        super().load_model(**options)

    @begins_engine
    def determine_available_memory(self) -> int:
        """Measure how much memory is left for the KV cache, in bytes.

        As vLLM does it: what ``gpu_memory_utilization`` allows, less weights and the activations of
        the largest step. Graphs have activations of their own, so these are taken off too.

        Returns
        -------
        int
            Bytes; or what the user set with ``kv_cache_memory_bytes``, unchanged.
        """
        available = int(super().determine_available_memory())
        if self.cache_config.kv_cache_memory_bytes:
            return available
        self._graph_reserve = self._estimate_graph_memory()
        self.available_kv_cache_memory_bytes = available - self._graph_reserve
        return self.available_kv_cache_memory_bytes

    def _estimate_graph_memory(self) -> int:
        """Estimate the memory of all graphs, in bytes.

        They share one pool, which is as large as the largest of them needs: its part of the
        activations that the largest step was measured to have. vLLM's own estimate captures graphs
        on trial, and is for CUDA only.
        """
        compilation = self.vllm_config.compilation_config
        if compilation.cudagraph_mode == CUDAGraphMode.NONE:
            return 0
        largest = max(compilation.cudagraph_capture_sizes, default=0)
        most = self.scheduler_config.max_num_batched_tokens
        return int(self.peak_activation_memory * min(largest / most, 1.0))

    @begins_engine
    def compile_or_warm_up_model(self) -> CompilationTimes:
        """Warm up and capture graphs.

        Raises
        ------
        ascend_aclgraph.CaptureError
            If a capture fails: with cause, size, and flags to try.
        OptionError
            If ranks would capture other graphs than the rest.
        """
        compilation = self.vllm_config.compilation_config
        for option in ("cudagraph_mode", "cudagraph_capture_sizes"):
            check_equal_on_ranks(option, getattr(compilation, option), get_world_group().cpu_group)
        times = super().compile_or_warm_up_model()
        counts = self.graph_stats()
        logger.info(
            "graphs captured (mode %s), in %.1f s and %.1f MiB, with %.1f MiB set aside; %s",
            counts["cudagraph_mode"],
            counts["capture_seconds"],
            self.model_runner.graph_memory / 2**20,
            self._graph_reserve / 2**20,
            self.model_runner.plan or "no graphs",
        )
        return times

    def finish_weight_update(self) -> None:
        """End an update of weights by a trainer.

        Raises
        ------
        XliteReplacedWeightError
            If weights came to lie elsewhere than xlite reads them.
        """
        super().finish_weight_update()
        if xlite := self.model_runner.xlite:
            xlite.check_weights(self.model_runner.get_model())

    def shutdown(self) -> None:
        """Give back what the engine had on the device: graphs, xlite, weights and cache.

        A program may make the next engine in the same process, so nothing is left to the process's
        end.
        """
        for wrapper in graph_wrappers(self.vllm_config):
            wrapper.clear_graphs()
        # A worker whose start failed has no runner, or one without a model.
        runner = getattr(self, "model_runner", None)
        if xlite := getattr(runner, "xlite", None):
            try:
                xlite.close()
            except XliteRankError as error:  # this worker ends anyway
                logger.error("%s", error)
        model = getattr(runner, "model", None)
        if model is not None:
            release_compiled_code(model)
        super().shutdown()

    def graph_stats(self) -> dict[str, Any]:
        """Report what graph mode did so far; call it through ``LLM.collective_rpc``.

        Returns
        -------
        dict
            Plain values: ``backend``, ``simulated``, ``device``, ``cudagraph_mode``, ``graphs``
            (captured graphs by mode and size), ``replays``, ``steps``, ``steps_by_path`` (by what
            ran them, and why), ``decode_steps``, ``eager_decode_steps``, ``padding_waste`` (part of
            computed rows), ``capture_seconds``, ``graph_memory_bytes``, ``xlite_mode`` ("full",
            "decode" or None), ``xlite_memory_bytes``.
        """
        steps, xlite = self.model_runner.step_stats, self.model_runner.xlite
        mode = self.vllm_config.compilation_config.cudagraph_mode
        device = probe()
        without_xlite = "aclgraph" if mode != CUDAGraphMode.NONE else "eager"
        return {
            "backend": "xlite" if xlite else without_xlite,
            "simulated": device.simulated,
            "device": torch_npu.npu.get_device_name(self.device),
            "cudagraph_mode": mode.name,
            "steps": steps.steps,
            "steps_by_path": steps.steps_by_path,
            "decode_steps": steps.decode_steps,
            "eager_decode_steps": steps.eager_decode_steps,
            "padding_waste": steps.padding_waste,
            "graph_memory_bytes": self.model_runner.graph_memory,
            "xlite_mode": xlite.mode if xlite else None,
            "xlite_memory_bytes": xlite.pool_bytes if xlite else 0,
            **graph_counts(graph_wrappers(self.vllm_config)),
        }
