# SPDX-License-Identifier: Apache-2.0
"""What vLLM has and this platform lacks: the option that asks for it, and what is missing.

Nothing is here because it was never tried. Each of these was seen to fail, most of them late, in
the engine's process, with a text about CUDA.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ascend_core import OptionError, parse_visible_devices
from vllm import envs
from vllm.config import VllmConfig

from ascend_vllm_plugin.compat.options import FUSION_PASSES
from ascend_vllm_plugin.graph_sizes import has_graphs

__all__ = ["missing_problems"]

_LEAVE_OUT = "leave the option out"
_V2 = "vLLM's V2 runner, which is written in Triton"
_NO_TRITON = "and there is no Triton for the NPU here"


@dataclass(frozen=True)
class _Missing:
    """One thing that is missing.

    Parameters
    ----------
    option
        As the user writes it.
    asked
        The value that asks for it; None, False, 0 or an empty one if nothing does.
    reason
        What is missing.
    valid
        What to do instead.
    """

    option: str
    asked: Callable[[VllmConfig], object]
    reason: str
    valid: str = _LEAVE_OUT


_MISSING = (
    _Missing(
        "--enable-lora",
        lambda config: config.lora_config is not None,
        "there are no LoRA kernels for the NPU (vLLM's punica wrapper)",
    ),
    _Missing(
        "--speculative-config",
        lambda config: config.speculative_config and config.speculative_config.method,
        f"drafts are checked by Triton kernels, {_NO_TRITON}",
    ),
    _Missing(
        "--kv-offloading-size",
        lambda config: config.cache_config.kv_offloading_size,
        "the cache is copied to the host by CUDA kernels",
    ),
    _Missing(
        "--kv-transfer-config",
        lambda config: config.kv_transfer_config and config.kv_transfer_config.kv_connector,
        "tokens are wrong after a connector has loaded the cache (ExampleConnector was tried)",
    ),
    _Missing(
        "--cpu-offload-gb",
        lambda config: (
            not envs.VLLM_WEIGHT_OFFLOADING_DISABLE_UVA and config.offload_config.uva.cpu_offload_gb
        ),
        "weights on the host are read through CUDA's unified addresses",
        "set VLLM_WEIGHT_OFFLOADING_DISABLE_UVA=1, which copies them",
    ),
    _Missing(
        "--offload-group-size",
        lambda config: config.offload_config.prefetch.offload_group_size,
        "weights are prefetched on streams of CUDA's",
    ),
    _Missing(
        "--device-ids",
        lambda config: _other_devices(config.parallel_config.assigned_physical_gpu_ids),
        "workers take the devices that are visible, in their order",
        "leave the option out, and set ASCEND_RT_VISIBLE_DEVICES",
    ),
    _Missing(
        "--attention-backend",
        lambda config: _other_backend(config.attention_config.backend),
        "there is one attention backend on this platform",
    ),
    _Missing(
        "attention_config.backend_per_kind",
        lambda config: [
            name
            for backend in config.attention_config.backend_per_kind.values()
            if (name := _other_backend(backend))
        ],
        "there is one attention backend on this platform",
    ),
    _Missing(
        "attention_config.mla_prefill_backend",
        lambda config: _other_backend(config.attention_config.mla_prefill_backend),
        "latent attention has one backend here, for prompts and for decoding",
    ),
    _Missing(
        "attention_config.use_non_causal",
        lambda config: config.attention_config.use_non_causal,
        "attention is causal on this platform",
    ),
    _Missing(
        "--moe-backend",
        lambda config: _named(config.kernel_config.moe_backend),
        "experts run on torch_npu's operators on this platform",
    ),
    _Missing(
        "--all2all-backend",
        lambda config: _named(config.parallel_config.all2all_backend, "allgather_reducescatter"),
        "replicas exchange their tokens by all-gather and reduce-scatter on this platform",
    ),
    _Missing(
        "--expert-placement-strategy",
        lambda config: _named(config.parallel_config.expert_placement_strategy, "linear"),
        "the kernels take experts that are next to each other",
        "linear",
    ),
    _Missing(
        "--enable-return-routed-experts",
        lambda config: config.aux_output_config.enable_return_routed_experts,
        "the choice of experts stays on the device",
    ),
    _Missing(
        "compilation_config.use_inductor_graph_partition",
        lambda config: config.compilation_config.use_inductor_graph_partition,
        "Inductor has no code generator for the NPU",
    ),
    _Missing(
        "compilation_config.pass_config",
        lambda config: [
            name
            for name, value in vars(config.compilation_config.pass_config).items()
            if name.startswith(FUSION_PASSES) and value
        ],
        "vLLM's fusion passes are written for CUDA",
    ),
    _Missing(
        "--enable-layerwise-nvtx-tracing",
        lambda config: config.observability_config.enable_layerwise_nvtx_tracing,
        "NVTX is NVIDIA's",
    ),
    _Missing(
        "--watermark-config",
        lambda config: config.watermark_config is not None,
        f"watermarks are put in by {_V2}",
    ),
    _Missing(
        "--enable-batch-sharded-sampling",
        lambda config: config.parallel_config.enable_batch_sharded_sampling,
        f"sampling is split by {_V2}",
    ),
    _Missing(
        "--enable-trace-replay",
        lambda config: config.model_config.enable_trace_replay,
        f"traces are replayed by {_V2}",
    ),
    _Missing(
        "--return-sampling-mask",
        lambda config: config.model_config.return_sampling_mask,
        f"masks are returned by {_V2}",
    ),
    _Missing(
        "VLLM_BATCH_INVARIANT",
        lambda config: envs.VLLM_BATCH_INVARIANT,  # noqa: ARG005
        f"batch-invariant operators are Triton kernels, {_NO_TRITON}",
        "unset it",
    ),
    _Missing(
        "VLLM_USE_BREAKABLE_CUDAGRAPH",
        lambda config: envs.VLLM_USE_BREAKABLE_CUDAGRAPH and has_graphs(config),
        "breakable graphs are captured by torch.cuda",
        "unset it",
    ),
    _Missing(
        "VLLM_USE_V2_MODEL_RUNNER",
        lambda config: envs.VLLM_USE_V2_MODEL_RUNNER,  # noqa: ARG005
        f"the V2 runner is written in Triton, {_NO_TRITON}",
        "unset it",
    ),
)


def missing_problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    """Find what the user asks for and this platform lacks.

    Parameters
    ----------
    vllm_config
        With options as the user gave them, and a model.
    """
    for missing in _MISSING:
        if value := missing.asked(vllm_config):
            yield OptionError(missing.option, value, missing.reason, missing.valid)


def _named(value: str, default: str = "auto") -> str:
    """Value of an option that names what is to be used; empty for its default."""
    return "" if value == default else value


def _other_backend(backend: object) -> str:
    """Name of an attention backend that is not ours; empty for ours and for none."""
    name = str(getattr(backend, "name", backend or ""))
    return "" if name == "CUSTOM" else name


def _other_devices(ids: list[int] | None) -> list[int]:
    """Devices that were chosen, unless they are the first ones that are visible."""
    chosen, visible = ids or [], os.environ.get("ASCEND_RT_VISIBLE_DEVICES")
    first = parse_visible_devices(visible) if visible else range(len(chosen))
    return [] if chosen == list(first)[: len(chosen)] else chosen
