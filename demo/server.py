# SPDX-License-Identifier: Apache-2.0
"""A `vllm serve` process on loopback, on the simulated NPU."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

__all__ = ["MODEL_NAME", "Server", "ServerError", "compilation_config", "xlite_config"]

MODEL_NAME = "demo"
_READY_TIMEOUT_S = 600
_STOP_TIMEOUT_S = 15
_CLEANUP_TIMEOUT_S = 10
_LOG_TAIL_LINES = 120  # vLLM prints the cause of a failed start well before its last lines


class ServerError(RuntimeError):
    """The server did not start, died, or left a process behind."""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """Starts the server on entry and stops it, with everything it started, on exit.

    Parameters
    ----------
    model
        Folder of the model.
    log
        File that takes the server's output.
    arguments
        Further arguments of `vllm serve`.
    progress
        Called with a line of text while the server starts.
    """

    def __init__(
        self, model: Path, log: Path, arguments: Sequence[str], progress: Callable[[str], None]
    ) -> None:
        self._log = log
        self._progress = progress
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.ready_s = 0.0
        """Seconds from the start of the process to its first healthy answer."""
        self._command = [
            *(str(Path(sys.executable).with_name("ascend-sim")), "run", "--"),
            *(str(Path(sys.executable).with_name("vllm")), "serve", str(model)),
            *("--served-model-name", MODEL_NAME),
            *("--host", "127.0.0.1", "--port", self.url.rpartition(":")[2]),
            *arguments,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the server and return when it answers.

        Raises
        ------
        ServerError
            If the process ends or does not answer in time; the text shows the end of its log.
        """
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_SERVER_DEV_MODE": "1",  # opens /collective_rpc, for graph_stats
        }
        self._progress(f"starting vllm serve; its output goes to {self._log}")
        started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        try:
            self._wait_until_ready(self._process, started)
        except BaseException:
            self._stop()
            raise
        self.ready_s = time.monotonic() - started
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def graph_stats(self) -> dict[str, Any]:
        """Return the statistics of the worker's graphs."""
        answer = httpx.post(
            f"{self.url}/collective_rpc", json={"method": "graph_stats"}, timeout=60
        )
        answer.raise_for_status()
        stats: dict[str, Any] = answer.json()["results"][0]
        return stats

    def _wait_until_ready(self, process: subprocess.Popen[bytes], started: float) -> None:
        next_report = 5.0
        while (elapsed := time.monotonic() - started) < _READY_TIMEOUT_S:
            if process.poll() is not None:
                raise ServerError(f"vllm serve ended with {process.returncode}\n{self._log_tail()}")
            try:
                if httpx.get(f"{self.url}/health", timeout=2).is_success:
                    return
            except httpx.TransportError:
                pass
            if elapsed > next_report:
                self._progress(f"waiting for the server, {elapsed:.0f} s")
                next_report += 5
            time.sleep(0.2)
        raise ServerError(f"no answer within {_READY_TIMEOUT_S} s\n{self._log_tail()}")

    def _log_tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return "\n".join([*lines, f"(the whole log: {self._log})"])

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._progress(f"the server did not stop within {_STOP_TIMEOUT_S} s: killing it")
        try:
            # Python's resource trackers remove the shared memory of the processes that have ended.
            deadline = time.monotonic() + _CLEANUP_TIMEOUT_S
            while process.poll() is not None and time.monotonic() < deadline:
                os.killpg(process.pid, 0)
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # nothing was left: the ordinary end
        process.wait()


def compilation_config(mode: str) -> list[str]:
    """Return the arguments of `vllm serve` that select a cudagraph mode."""
    return ["--compilation-config", json.dumps({"cudagraph_mode": mode})]


def xlite_config(*, full_mode: bool) -> list[str]:
    """Return the arguments of `vllm serve` that turn Xlite mode on."""
    options = {"xlite_graph_config": {"enabled": True, "full_mode": full_mode}}
    return ["--additional-config", json.dumps(options)]
