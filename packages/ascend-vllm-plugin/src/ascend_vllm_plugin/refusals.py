# SPDX-License-Identifier: Apache-2.0
"""Options that this version does not support, rejected at start by name."""

import os
from collections.abc import Iterator
from typing import Any

import torch
import torch_npu
from ascend_core import Device, OptionError, raise_problems
from ascend_ops import BLOCK_SIZE
from vllm.config import CompilationMode, CUDAGraphMode, VllmConfig
from vllm.logger import init_logger

from ascend_vllm_plugin.attention import try_kernel, try_latent_kernel
from ascend_vllm_plugin.capabilities import refuse_needs, unmet_needs
from ascend_vllm_plugin.chip import chip_problems
from ascend_vllm_plugin.config import option_problems
from ascend_vllm_plugin.dtypes import chip_dtypes
from ascend_vllm_plugin.graph_sizes import has_graphs, size_problems
from ascend_vllm_plugin.missing import missing_problems
from ascend_vllm_plugin.tested import untried_model
from ascend_vllm_plugin.xlite.check import xlite_problems

__all__ = [
    "check_attention",
    "check_config",
    "check_dtype",
    "check_kernel",
    "warn_untested",
]

logger = init_logger(f"vllm.{__name__}")


def check_config(vllm_config: VllmConfig) -> None:
    """Reject every option that this version does not support.

    Parameters
    ----------
    vllm_config
        With options as the user gave them: vLLM's defaults by optimization level come later.

    Raises
    ------
    OptionError, SeveralOptionsError
        For one such option, or for several at once.
    """
    raise_problems(_problems(vllm_config))


def warn_untested(vllm_config: VllmConfig) -> None:
    """Warn once about what is accepted but untested.

    Parameters
    ----------
    vllm_config
        vLLM's configuration.
    """
    parallel = vllm_config.parallel_config
    replicas = parallel.data_parallel_size > 1
    untested = {
        "--nnodes": parallel.nnodes > 1,
        "--data-parallel-size with --tensor-parallel-size": (
            replicas and parallel.tensor_parallel_size > 1
        ),
        "Ray on several hosts": parallel.local_world_size > torch_npu.npu.device_count(),
        "--weight-transfer-config": vllm_config.weight_transfer_config is not None,
    }
    given = [option for option, is_given in untested.items() if is_given]
    if model := untried_model(vllm_config):
        given.append(model)
    if given:
        logger.warning("not tried on this platform, so check what it does: %s", ", ".join(given))


def check_dtype(dtype: torch.dtype) -> None:
    """Reject a dtype that no kernel takes.

    Raises
    ------
    OptionError
        If it is not one of `chip_dtypes`.
    """
    if dtype not in chip_dtypes():
        raise OptionError("--dtype", dtype, f"no kernel of {Device().name} takes it", chip_dtypes())


def check_attention(selector: Any) -> None:
    """Reject models that need more than causal attention.

    Parameters
    ----------
    selector
        vLLM's description of the attention it needs.

    Raises
    ------
    OptionError
        For any such need.
    """
    refuse_needs(
        {
            "sparse attention": selector.use_sparse,
            "attention sinks": selector.has_sink,
        }
    )


def check_kernel(vllm_config: VllmConfig) -> None:
    """Reject a model whose attention the device's kernel does not take.

    What a kernel takes depends on the chip and on the version of CANN, so it is tried, once and on
    one token. Call it where the device is in use anyway.

    Raises
    ------
    OptionError
        If the kernel fails: for ``--dtype`` if it is fp32, for which CANN documents no kernel.
    """
    model, parallel = vllm_config.model_config, vllm_config.parallel_config
    heads, kv_heads = model.get_num_attention_heads(parallel), model.get_num_kv_heads(parallel)
    size, dtype = model.get_head_size(), model.dtype
    try:
        if model.use_mla:
            try_latent_kernel(heads, model.hf_text_config.kv_lora_rank, size, dtype)
        else:
            try_kernel(heads, kv_heads, size, dtype)
    except RuntimeError as error:
        why = f"attention on this device refuses it ({str(error).strip().splitlines()[-1]})"
        simulated = "with the simulator also `ascend-sim run --limits off`"
        if dtype == torch.float32:
            accepted = f"bfloat16 or float16: `--dtype bfloat16`; {simulated}"
            raise OptionError("--dtype", "float32", why, accepted) from error
        shape = f"{heads} heads of {size}, {kv_heads} of keys, {dtype}"
        raise OptionError("--model", shape, why, f"another model; {simulated}") from error


def _problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    own = list(option_problems(vllm_config.additional_config))
    yield from own
    if vllm_config.model_config is None:  # vLLM builds such configurations internally
        return
    of_platform = [problem for find in _CHECKS for problem in find(vllm_config)]
    yield from of_platform
    if not own and not any(unmet_needs(vllm_config)):
        named = {problem.option for problem in of_platform}
        yield from (each for each in xlite_problems(vllm_config) if each.option not in named)


def _model_problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    model = vllm_config.model_config
    if model.dtype not in chip_dtypes():
        yield OptionError(
            "--dtype", model.dtype, f"no kernel of {Device().name} takes it", chip_dtypes()
        )
    if model.quantization is not None:
        yield OptionError(
            "--quantization", model.quantization, "no quantization in this version", "none"
        )
    if model.runner_type != "generate":
        yield OptionError("--runner", model.runner_type, "only generation works", "generate")


def _parallel_problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    parallel = vllm_config.parallel_config
    ranks = parallel.local_world_size * max(parallel.data_parallel_size_local, 1)
    devices = torch_npu.npu.device_count()
    sizes = {
        "--tensor-parallel-size": parallel.tensor_parallel_size,
        "--pipeline-parallel-size": parallel.pipeline_parallel_size,
        "--data-parallel-size": parallel.data_parallel_size,
    }
    several = [option for option, size in sizes.items() if size > 1]
    if ranks > devices and several and not parallel.use_ray:  # Ray may have other hosts
        yield OptionError(
            several[0],
            sizes[several[0]],
            f"each of {ranks} ranks needs its own device, and this process sees {devices} "
            "(ASCEND_RT_VISIBLE_DEVICES; with the simulator, `ascend-sim run --devices`)",
            f"1 to {devices}",
        )
    contexts = {
        "--decode-context-parallel-size": parallel.decode_context_parallel_size,
        "--prefill-context-parallel-size": parallel.prefill_context_parallel_size,
    }
    for option, size in contexts.items():
        if size != 1:
            yield OptionError(
                option,
                size,
                "attention does not merge the ranks' parts of a context",
                "1, and --tensor-parallel-size, which splits the cache by heads",
            )
    if parallel.use_ubatching:
        yield OptionError("--enable-dbo", True, "batches are not split in this version", "false")


def _share_problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    """Find what ranks cannot share equally, for which vLLM has bare assertions."""
    model, parallel = vllm_config.model_config, vllm_config.parallel_config
    config, experts = model.hf_text_config, model.get_num_experts()
    ranks, whole_experts = parallel.tensor_parallel_size, parallel.enable_expert_parallel
    expert_ranks = ranks * parallel.data_parallel_size
    if whole_experts and 0 < experts < expert_ranks:
        yield OptionError(
            "--enable-expert-parallel", True, f"{expert_ranks} ranks for {experts} experts", "false"
        )
    shares = {"num_attention_heads": ranks, "num_key_value_heads": ranks}
    if not experts:
        shares["intermediate_size"] = ranks
    elif not whole_experts:
        is_named = hasattr(config, "moe_intermediate_size")
        shares["moe_intermediate_size" if is_named else "intermediate_size"] = expert_ranks
    for name, parts in shares.items():
        size = getattr(config, name, None)
        # Keys of one head may be on several ranks.
        if isinstance(size, int) and size and max(size, parts) % min(size, parts):
            option, value = "--tensor-parallel-size", ranks
            if parts > ranks:
                option, value = "--data-parallel-size", parallel.data_parallel_size
            reason = f"{parts} ranks cannot share {name} = {size} equally"
            yield OptionError(option, value, reason, f"a divisor of {size}")
            return


def _cache_problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    cache = vllm_config.cache_config
    if cache.cache_dtype not in ("auto", str(vllm_config.model_config.dtype).partition(".")[2]):
        yield OptionError(
            "--kv-cache-dtype", cache.cache_dtype, "the cache has the model's type", "auto"
        )
    if cache.user_specified_block_size and cache.block_size % BLOCK_SIZE:
        yield OptionError(
            "--block-size",
            cache.block_size,
            "the attention kernel has no such pages",
            f"multiples of {BLOCK_SIZE}",
        )


def _graph_problems(vllm_config: VllmConfig) -> Iterator[OptionError]:
    compilation = vllm_config.compilation_config
    mode, graphs = compilation.mode, compilation.cudagraph_mode
    if vllm_config.model_config.enforce_eager and graphs not in (None, CUDAGraphMode.NONE):
        # vLLM drops the graph mode silently; the user would not know which one applies.
        yield OptionError(
            "--enforce-eager",
            True,
            f"it contradicts cudagraph_mode = {graphs.name}",
            f"leave out --enforce-eager, or cudagraph_mode = {graphs.name}",
        )
    if compilation.backend not in ("", "eager"):
        yield OptionError(
            "compilation_config.backend",
            compilation.backend,
            "there is no code generator for the NPU in this version",
            "eager",
        )
    if mode == CompilationMode.NONE and graphs and graphs.requires_piecewise_compilation():
        yield OptionError(
            "compilation_config.cudagraph_mode",
            graphs.name,
            "compilation makes the pieces, and compilation_config.mode = NONE turns it off",
            "FULL, FULL_DECODE_ONLY, NONE; or leave compilation_config.mode out",
        )
    if has_graphs(vllm_config) and os.environ.get("TASK_QUEUE_ENABLE") == "2":
        yield OptionError(
            "TASK_QUEUE_ENABLE",
            2,
            "torch_npu does not capture graphs with it",
            "0 or 1; 2 with --enforce-eager",
        )


_CHECKS = (
    unmet_needs,
    _model_problems,
    _parallel_problems,
    _share_problems,
    _cache_problems,
    missing_problems,
    _graph_problems,
    chip_problems,
    size_problems,
)
