# SPDX-License-Identifier: Apache-2.0
"""vLLM's profiler."""

from vllm.profiler import wrapper

__all__ = ["offer_profiler"]


def offer_profiler() -> None:
    """Let ``--profiler-config`` start torch.profiler, with operators of the host and NPU kernels.

    Reason: vLLM has lists of what each type of device can profile, and no hook to add to them;
    without an entry its worker refuses any profiler ("Unsupported profiler device type").
    Goes when: vLLM asks the platform.
    """
    activities = ("CPU", "PrivateUse1")
    wrapper._SUPPORTED_PROFILER_KINDS["npu"] = frozenset({"torch"})
    wrapper._DEFAULT_TORCH_PROFILER_ACTIVITIES["npu"] = activities
    wrapper._SUPPORTED_TORCH_PROFILER_ACTIVITIES["npu"] = frozenset(activities)
