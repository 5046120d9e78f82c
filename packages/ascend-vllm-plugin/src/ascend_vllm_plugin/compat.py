# SPDX-License-Identifier: Apache-2.0
"""Every touch of vLLM's private parts, with its reason and the condition under which it can go.

vLLM is written for `torch.cuda` in places that have no hook for other devices (0.32 and 0.33
alike). Nothing outside this module assigns to another package's attributes.
"""

import atexit
import functools
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch_npu
from ascend_core import OptionError
from torch._dynamo import convert_frame
from vllm.config import CUDAGraphMode, VllmConfig

from ascend_vllm_plugin.failed_start import say_cause_at_exit

__all__ = [
    "FUSION_PASSES",
    "alias_torch_cuda",
    "clear_fusion_passes",
    "destroy_groups_at_exit",
    "end_engine_with_server",
    "install_graph_wrapper",
    "meet_in_socket_folder",
    "offer_profiler",
    "override_triton_kernels",
    "prepare_process",
    "release_compiled_code",
    "skip_kernel_warmup",
]


# A child of vLLM's logger, so that its handlers and levels hold for us too.
logger = logging.getLogger(f"vllm.{__name__}")


def prepare_process() -> None:
    """Set what must hold in every vLLM process before a configuration is built. Idempotent."""
    # Reason: with backend "eager" vLLM logs that it does not compile ahead of time, and computes
    # the key of the compiled artifact anew in every step: 12 ms (measured on 0.32.0).
    # Goes when: vllm/compilation/decorators.py computes it once.
    os.environ.setdefault("VLLM_USE_AOT_COMPILE", "0")
    # Reason: the V2 runner is Triton throughout. vLLM takes V1 where Triton has no driver, but an
    # NPU host may have an NVIDIA driver too. (Who asks for V2 is refused: `missing`.)
    # Goes when: there is an NPU runner for V2.
    os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "0")
    # Reason: vLLM turns breakable graphs on for some models; torch.cuda would capture them.
    # Goes when: the platform is asked.
    os.environ.setdefault("VLLM_USE_BREAKABLE_CUDAGRAPH", "0")
    _keep_sockets_in_a_folder_that_goes()
    _name_unknown_graph_modes()
    _check_options_before_vllm()


_SOCKET_FOLDER = "VLLM_RPC_BASE_PATH"


def _keep_sockets_in_a_folder_that_goes() -> None:
    """Give vLLM's processes a folder for their sockets that is removed at exit.

    Reason: neither ZeroMQ nor vLLM removes the files of its sockets; each server leaves several in
    the temporary folder. Child processes find the variable set and use the same folder.
    Goes when: vLLM removes them.
    """
    if _SOCKET_FOLDER not in os.environ:
        folder = tempfile.mkdtemp(prefix="ascend-vllm-")
        os.environ[_SOCKET_FOLDER] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        say_cause_at_exit(folder)


def meet_in_socket_folder(init_method: str) -> str:
    """Move the file in which a single process "meets" into the folder that is removed at exit.

    Reason: vLLM makes it in the temporary folder and does not remove it.
    Goes when: vLLM removes it.

    Parameters
    ----------
    init_method
        Of torch.distributed, from vLLM: "file://..." for one process, "tcp://..." for several.
    """
    scheme, _, path = init_method.partition("://")
    folder = os.environ.get(_SOCKET_FOLDER)
    return f"file://{folder}/{Path(path).name}" if scheme == "file" and folder else init_method


_ENGINE_PROCESS = "EngineCore"
_SHUTDOWN_S = 20


def end_engine_with_server() -> None:
    """End an engine's process soon after the server that started it has ended, however that was.

    Reason: vLLM's workers watch their engine, but its engine does not watch its server: after a
    kill -9 of the server, engine and workers stay for ever, with their devices and shared memory.
    Does nothing in any other process.
    Goes when: vLLM's engine watches its server.
    """
    server = multiprocessing.parent_process()
    name = multiprocessing.current_process().name
    if server is not None and name.startswith(_ENGINE_PROCESS):
        threading.Thread(target=_end_after, args=(server,), name=name, daemon=True).start()


def _end_after(server: Any) -> None:
    server.join()
    logger.error(
        "the server (process %d) has ended; this engine ends too. Requests that it had are lost.",
        server.pid,
    )
    if folder := os.environ.get(_SOCKET_FOLDER):
        shutil.rmtree(folder, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)  # vLLM's way to shut down, workers included
    time.sleep(_SHUTDOWN_S)
    os.kill(os.getpid(), signal.SIGKILL)  # it did not; the workers see that it is gone


class _GraphModes(dict[str, Any]):
    """Graph modes by name, with an error that says which option was wrong."""

    def __missing__(self, name: str) -> NoReturn:
        raise OptionError("cudagraph_mode", name, "unknown mode", tuple(self))


def _name_unknown_graph_modes() -> None:
    """Give an unknown cudagraph_mode on the command line an error of its own.

    Reason: vLLM looks the name up in the enumeration, and the user sees "KeyError: 'FULLY'". (In
    Python that still happens: `LLM` looks it up before it asks the platform anything.)
    Goes when: vLLM validates the name.
    """
    if not isinstance(CUDAGraphMode._member_map_, _GraphModes):
        CUDAGraphMode._member_map_ = _GraphModes(CUDAGraphMode._member_map_)


def _check_options_before_vllm() -> None:
    """Check options before vLLM looks at them.

    Reason: the first hook of a platform runs after vLLM has overwritten the graph mode that
    contradicts --enforce-eager, and after it has refused others in words about CUDA or its V2
    runner. (It is there that options are as the user gave them, all at once.)
    Goes when: a platform hook sees the options as given.
    """
    original = VllmConfig.__post_init__
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def checked(self: VllmConfig) -> None:
        from ascend_vllm_plugin import limits

        limits.check_config(self)
        original(self)

    VllmConfig.__post_init__ = checked


FUSION_PASSES = ("fuse_", "enable_qk_norm")
"""How the names of vLLM's fusion passes begin, in `PassConfig`."""


def clear_fusion_passes(vllm_config: VllmConfig) -> None:
    """Switch off the fusion passes, which vLLM imports for CUDA, ROCm and XPU only.

    Reason: -O1 and -O2 switch some on by custom operator, and PostGradPassManager then fails with a
    NameError, also with backend "eager".
    Goes when: vLLM asks the platform which passes it has.
    """
    passes = vllm_config.compilation_config.pass_config
    for name in vars(passes):
        if name.startswith(FUSION_PASSES):
            setattr(passes, name, False)


def override_triton_kernels() -> None:
    """Replace the slot mapping kernel of the V1 runner.

    Reason: there is no Triton for the NPU here. vLLM's registry of replacements is public, the name
    of the kernel is not.
    Goes when: the V1 runner does.
    """
    from vllm.triton_utils.dispatcher import register_kernels

    from ascend_vllm_plugin.ops import compute_slot_mapping

    register_kernels(
        {"vllm.v1.worker.block_table.ComputeSlotMappingKernel.kernel": compute_slot_mapping}
    )


def alias_torch_cuda() -> None:
    """Let `torch.cuda` mean `torch.npu` for what the V1 runner calls by that name.

    Reason: streams and events of asynchronous scheduling and of graph capture (gpu_model_runner.py,
    parallel_state.py); vLLM's XPU runner does the same.
    Goes when: the runner uses torch.accelerator.
    """
    cuda: Any = torch.cuda
    npu: Any = torch_npu.npu
    cuda.Stream, cuda.Event = npu.Stream, npu.Event
    # Partials, because Dynamo refuses one function under two names.
    for name in ("current_stream", "default_stream", "stream", "set_stream"):
        setattr(cuda, name, functools.partial(getattr(npu, name)))


def install_graph_wrapper() -> None:
    """Make the runner wrap the whole model in our class.

    Reason: for FULL graphs gpu_model_runner.py names CUDAGraphWrapper, not the platform's class.
    Goes when: it asks `get_static_graph_wrapper_cls`, as it does for PIECEWISE.
    """
    from vllm.v1.worker import gpu_model_runner

    from ascend_vllm_plugin.graph_wrapper import NpuGraphWrapper

    gpu_model_runner.CUDAGraphWrapper = NpuGraphWrapper


def skip_kernel_warmup() -> None:
    """Replace the warm-up of CUDA and Triton kernels by nothing.

    Reason: it imports torchvision and launches Triton kernels on any platform.
    Goes when: vLLM asks the platform.
    """
    from vllm.v1.worker import gpu_worker

    gpu_worker.kernel_warmup = lambda worker: None  # noqa: ARG005


def offer_profiler() -> None:
    """Let ``--profiler-config`` start torch.profiler, with operators of the host and NPU kernels.

    Reason: vLLM has lists of what each type of device can profile, and no hook to add to them;
    without an entry its worker refuses any profiler ("Unsupported profiler device type").
    Goes when: vLLM asks the platform.
    """
    from vllm.profiler import wrapper

    activities = ("CPU", "PrivateUse1")
    wrapper._SUPPORTED_PROFILER_KINDS["npu"] = frozenset({"torch"})
    wrapper._DEFAULT_TORCH_PROFILER_ACTIVITIES["npu"] = activities
    wrapper._SUPPORTED_TORCH_PROFILER_ACTIVITIES["npu"] = frozenset(activities)


def release_compiled_code(model: Any) -> None:
    """Take a model's compiled code out of Dynamo's registries, which would keep it for ever.

    Reason: what is compiled stays referred to from two places, and it has the model, hence weights
    and graphs. One is Dynamo's list of backends (`eval_frame.cached_backends`). The other is vLLM's
    bytecode hook: a class that is compiled and whose base class is too (Qwen3Model is a Qwen2Model)
    registers two hooks per object and keeps the handle of the last one only.
    Other compiled functions of the process are compiled anew at their next call. Other engines are
    not: vLLM calls their bytecode itself.
    Goes when: an engine of vLLM leaves nothing behind when it is shut down.

    Parameters
    ----------
    model
        A module, or a graph wrapper around one.
    """
    modules = {id(module) for module in model.modules()}
    hooks = convert_frame._bytecode_hooks
    for key, hook in list(hooks.items()):
        if id(getattr(hook, "__self__", None)) in modules:
            del hooks[key]
    torch.compiler.reset()


def destroy_groups_at_exit() -> None:
    """Destroy vLLM's process groups before torch_npu destroys all groups at exit.

    Reason: an engine in the same process is shut down by a finalizer that runs after torch_npu's
    exit hook, and then complains of groups that are gone. Exit hooks run last in, first out.
    Goes when: `LLM` has a close method that everybody calls, or vLLM checks before it destroys.
    """
    from vllm.distributed import destroy_distributed_environment, destroy_model_parallel

    atexit.register(destroy_distributed_environment)
    atexit.register(destroy_model_parallel)
