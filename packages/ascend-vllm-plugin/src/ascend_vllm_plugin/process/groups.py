# SPDX-License-Identifier: Apache-2.0
"""vLLM's process groups at the end of a process."""

import atexit

from vllm.distributed import destroy_distributed_environment, destroy_model_parallel

__all__ = ["destroy_groups_at_exit"]


def destroy_groups_at_exit() -> None:
    """Destroy vLLM's process groups before torch_npu destroys all groups at exit.

    Reason: an engine in the same process is shut down by a finalizer that runs after torch_npu's
    exit hook, and then complains of groups that are gone. Exit hooks run last in, first out.
    Goes when: `LLM` has a close method that everybody calls, or vLLM checks before it destroys.
    """
    atexit.register(destroy_distributed_environment)
    atexit.register(destroy_model_parallel)
