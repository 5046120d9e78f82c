# SPDX-License-Identifier: Apache-2.0
"""vLLM's platform for Ascend NPUs: decoder models on torch_npu in ACL graph mode.

Nothing is imported here but the version, because vLLM loads this module in every process it
starts, before it knows which platform it is on. The two functions are vLLM's entry points.
"""

from ascend_vllm_plugin._version import __version__

__all__ = ["__version__", "register_ops", "register_platform"]


def register_platform() -> str:
    """Entry point of the group ``vllm.platform_plugins``.

    Returns
    -------
    str
        The platform class, always. vLLM logs what goes wrong in this function at debug level and
        carries on without a platform, so every check is made where an error reaches the user:
        when the module named here is imported.
    """
    return "ascend_vllm_plugin.platform.NpuPlatform"


def register_ops() -> None:
    """Entry point of the group ``vllm.general_plugins``, run once in every vLLM process.

    Raises
    ------
    ascend_core.versions.ConflictError
        If vllm-ascend is installed as well. Its platform entry point has the same name as ours, so
        vLLM may have taken its platform, and this function is where we can still say so.
    """
    from ascend_core import versions

    versions.check_conflicts()
    from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend

    from ascend_vllm_plugin import ops
    from ascend_vllm_plugin.compat.environment import leave_devices_to_ray
    from ascend_vllm_plugin.compat.profiler import offer_profiler
    from ascend_vllm_plugin.process.watchdog import end_engine_with_server

    end_engine_with_server()
    offer_profiler()
    leave_devices_to_ray()
    register_backend(
        AttentionBackendEnum.CUSTOM, "ascend_vllm_plugin.attention.NpuAttentionBackend"
    )
    ops.register_layers()
