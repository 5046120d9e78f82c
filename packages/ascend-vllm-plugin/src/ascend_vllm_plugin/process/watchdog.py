# SPDX-License-Identifier: Apache-2.0
"""An engine ends when its server has ended."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from typing import Any

from ascend_vllm_plugin.process.sockets import remove_socket_folder

__all__ = ["end_engine_with_server"]

logger = logging.getLogger(f"vllm.{__name__}")

_ENGINE_PROCESS = "EngineCore"
_SHUTDOWN_S = 20


def end_engine_with_server() -> None:
    """End an engine's process soon after the server that started it has ended, however that was.

    Reason: vLLM's workers watch their engine, but its engine does not watch its server: after a
    kill -9 of the server, engine and workers stay forever, with their devices and shared memory.
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
    remove_socket_folder()
    os.kill(os.getpid(), signal.SIGTERM)  # vLLM's way to shut down, workers included
    time.sleep(_SHUTDOWN_S)
    os.kill(os.getpid(), signal.SIGKILL)  # it did not; the workers see that it is gone
