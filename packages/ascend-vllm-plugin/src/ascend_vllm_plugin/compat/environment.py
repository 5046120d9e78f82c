# SPDX-License-Identifier: Apache-2.0
"""Environment variables of vLLM's processes: their defaults, and what workers inherit."""

import os

from vllm.ray import ray_env

__all__ = ["leave_devices_to_ray", "set_defaults"]


def set_defaults() -> None:
    """Set what must hold in every vLLM process before a configuration is built. Idempotent."""
    # Reason: with backend "eager" vLLM logs that it does not compile ahead of time, and computes
    # the key of the compiled artifact again in every step: 12 ms (measured on 0.32.0).
    # Goes when: vllm/compilation/decorators.py computes it once.
    os.environ.setdefault("VLLM_USE_AOT_COMPILE", "0")
    # Reason: the V2 runner is Triton throughout. vLLM takes V1 where Triton has no driver, but an
    # NPU host may have an NVIDIA driver too. (Who asks for V2 is refused: `missing`.)
    # Goes when: there is an NPU runner for V2.
    os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "0")
    # Reason: vLLM turns breakable graphs on for some models; torch.cuda would capture them.
    # Goes when: the platform is asked.
    os.environ.setdefault("VLLM_USE_BREAKABLE_CUDAGRAPH", "0")


def leave_devices_to_ray() -> None:
    """Keep the engine's choice of devices from its workers, for which Ray chooses. Idempotent.

    Reason: vLLM hands down every variable that is not CUDA's or ROCm's. A worker has counted its
    devices before, and would then take others than Ray gave it.
    Goes when: vLLM leaves out the platform's ``device_control_env_var``.
    """
    ray_env.RAY_NON_CARRY_OVER_ENV_VARS.add("ASCEND_RT_VISIBLE_DEVICES")
