# SPDX-License-Identifier: Apache-2.0
"""The platform: what vLLM asks about the device, and where a configuration is checked.

vLLM imports this module when it needs a platform, and shows what the import raises. So versions are
checked here, before torch_npu is imported. That is in the middle of vLLM's own import: modules of
ours that need its configuration classes are imported by the methods that use them.
"""

import os
from typing import TYPE_CHECKING, Any

from ascend_core import AclLibraryNotFoundError, NoDeviceError, check_visible_devices, versions

versions.check_conflicts()
versions.check()

import torch  # noqa: E402
from vllm.platforms.interface import Platform, PlatformEnum  # noqa: E402

try:
    import torch_npu
except (ImportError, OSError) as error:
    raise AclLibraryNotFoundError(str(error)) from error

from ascend_aclgraph import MemoryPool  # noqa: E402

from ascend_vllm_plugin.dtypes import chip_dtypes  # noqa: E402

if TYPE_CHECKING:
    from vllm.config import VllmConfig

__all__ = ["NpuPlatform"]


class NpuPlatform(Platform):
    """Ascend NPUs through torch_npu."""

    _enum = PlatformEnum.OOT
    device_name = "npu"
    device_type = "npu"
    dispatch_key = "PrivateUse1"
    ray_device_key = "NPU"
    device_control_env_var = "ASCEND_RT_VISIBLE_DEVICES"
    # Else Ray shows a worker one device alone, while its rank counts all devices of the engine.
    ray_noset_device_env_vars = ["RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES"]  # noqa: RUF012
    simple_compile_backend = "eager"  # inductor has no code generator for the NPU
    dist_backend = "hccl"

    @property
    def supported_dtypes(self) -> list[torch.dtype]:
        """Types of weights and activations, the default one first."""
        return chip_dtypes()

    @classmethod
    def pre_register_and_update(cls, parser: Any = None) -> None:  # noqa: ARG003
        """Prepare the process before vLLM builds a configuration.

        Raises
        ------
        VisibleDevicesError
            If ASCEND_RT_VISIBLE_DEVICES names other devices than this process gets.
        NoDeviceError
            If there is neither an NPU nor a simulated one.
        """
        count = torch_npu.npu.device_count()
        check_visible_devices(count)
        if count == 0:
            raise NoDeviceError
        from ascend_vllm_plugin import refusals
        from ascend_vllm_plugin.compat import environment, options
        from ascend_vllm_plugin.process import failed_start, sockets

        environment.set_defaults()
        if folder := sockets.make_socket_folder():
            failed_start.say_cause_at_exit(folder)
        options.name_unknown_graph_modes()
        options.check_before_vllm(refusals.check_config)

    @classmethod
    def apply_config_platform_defaults(cls, vllm_config: "VllmConfig") -> None:
        """Set what the chip and xlite decide, and leave out sizes of graphs that no batch has."""
        from ascend_vllm_plugin import chip, graph_sizes
        from ascend_vllm_plugin.xlite import modes

        chip.apply_chip_defaults(vllm_config)
        modes.leave_graphs_to_other_steps(vllm_config)
        graph_sizes.drop_unreachable_sizes(vllm_config)

    @classmethod
    def check_and_update_config(cls, vllm_config: "VllmConfig") -> None:
        """Set what the platform decides, and check what needs all options to be final."""
        from ascend_vllm_plugin import graph_sizes, refusals
        from ascend_vllm_plugin.compat import options
        from ascend_vllm_plugin.process import failed_start

        failed_start.forget_cause()
        parallel = vllm_config.parallel_config
        if parallel.worker_cls == "auto":
            parallel.worker_cls = "ascend_vllm_plugin.worker.NpuWorker"
        parallel.disable_custom_all_reduce = True  # a CUDA kernel
        # torch_npu refuses to run in a process forked from one that has used the NPU.
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
        options.clear_fusion_passes(vllm_config)
        graph_sizes.check_final_sizes(vllm_config)
        refusals.warn_untested(vllm_config)

    @classmethod
    def import_kernels(cls) -> None:
        """Do nothing: vLLM's own C++ kernels are not in a build for another device."""

    @classmethod
    def register_triton_kernel_overrides(cls) -> None:
        """Replace the Triton kernel that the V1 runner uses."""
        from ascend_vllm_plugin.compat import triton
        from ascend_vllm_plugin.ops import compute_slot_mapping

        triton.replace_slot_mapping(compute_slot_mapping)

    @classmethod
    def get_device_name(cls, device_id: int = 0) -> str:
        """Name of the chip."""
        name: str = torch_npu.npu.get_device_name(device_id)
        return name

    @classmethod
    def get_device_total_memory(cls, device_id: int = 0) -> int:
        """Memory of the device, in bytes."""
        total: int = torch_npu.npu.mem_get_info(device_id)[1]
        return total

    @classmethod
    def get_current_memory_usage(cls, device: Any = None) -> float:
        """Memory that tensors take now, in bytes."""
        return float(torch_npu.npu.memory_allocated(device))

    @classmethod
    def set_device(cls, device: torch.device) -> None:
        """Make a device current."""
        torch_npu.npu.set_device(device)

    @classmethod
    def manual_seed_all(cls, seed: int) -> None:
        """Seed the generators of all devices."""
        torch_npu.npu.manual_seed_all(seed)

    @classmethod
    def check_if_supports_dtype(cls, dtype: torch.dtype) -> None:
        """Refuse a type that no kernel takes."""
        from ascend_vllm_plugin import refusals

        refusals.check_dtype(dtype)

    @classmethod
    def is_pin_memory_available(cls) -> bool:
        """Say that torch_npu has page-locked host memory."""
        return True

    @classmethod
    def get_attn_backend_cls(
        cls,
        selected_backend: Any,  # noqa: ARG003
        attn_selector_config: Any,
        num_heads: int | None = None,  # noqa: ARG003
    ) -> str:
        """Name the attention backend.

        Raises
        ------
        OptionError
            If the model needs what it does not do.
        """
        from ascend_vllm_plugin import refusals

        refusals.check_attention(attn_selector_config)
        if attn_selector_config.use_mla:
            return "ascend_vllm_plugin.attention.latent.NpuLatentBackend"
        return "ascend_vllm_plugin.attention.NpuAttentionBackend"

    @classmethod
    def get_mla_prefill_backend_cls(cls, mla_selector_config: Any) -> type[Any]:  # noqa: ARG003
        """Return what stands for a backend of prompts in latent attention, which needs none."""
        from ascend_vllm_plugin.attention.latent import LatentPrefill

        return LatentPrefill

    @classmethod
    def get_device_communicator_cls(cls) -> str:
        """Name the class that communicates between devices."""
        return "ascend_vllm_plugin.communicator.NpuCommunicator"

    @classmethod
    def use_custom_op_collectives(cls) -> bool:
        """Make each collective one operator of vLLM's.

        Else Dynamo puts PyTorch's functional collectives in its place, which copy from the host on
        torch_npu; a capture forbids that.
        """
        return True

    @classmethod
    def opaque_attention_op(cls) -> bool:
        """Make attention one operator, at which the compiled model can be split into pieces."""
        return True

    @classmethod
    def support_static_graph_mode(cls) -> bool:
        """Allow graph modes."""
        return True

    @classmethod
    def get_static_graph_wrapper_cls(cls) -> str:
        """Name the class that captures and replays the pieces of a model."""
        return "ascend_vllm_plugin.graph_wrapper.NpuGraphWrapper"

    @classmethod
    def graph_pool_handle(cls) -> MemoryPool:
        """Make memory for graphs; vLLM asks once and gives it to all graph wrappers."""
        return MemoryPool()

    @classmethod
    def support_hybrid_kv_cache(cls) -> bool:
        """Allow a cache per kind of layer: those with a window keep no more than it needs."""
        return True

    @classmethod
    def num_compute_units(cls, device_id: int = 0) -> int:
        """Count the vector cores."""
        count: int = torch_npu.npu.get_device_properties(device_id).vector_core_num
        return count
