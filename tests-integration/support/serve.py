# SPDX-License-Identifier: Apache-2.0
"""`vllm serve` under the simulator, and where it could leave something behind."""

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from support.engine import OFF_LIMITS, under_simulator

__all__ = ["MODEL", "Server", "complete", "counted_steps", "leftovers", "running"]

MODEL = "tiny"
"""What the model is called."""

_READY_TIMEOUT_S = 300
_OPTIONS = {
    "--served-model-name": MODEL,
    "--host": "127.0.0.1",
    "--dtype": "float32",
    "--max-model-len": "512",
    "--max-num-seqs": "8",
    "--gpu-memory-utilization": "0.05",
}


@dataclass(frozen=True)
class Server:
    """A running `vllm serve`."""

    process: psutil.Popen
    url: str
    log: Path
    environment: dict[str, str]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=120, trust_env=False)


def complete(
    client: httpx.Client, prompt: list[int], new_tokens: int, replica: int | None = None
) -> list[int]:
    """Greedy tokens of a completion, by a replica of the server's choice or by that one."""
    answer = client.post(
        "/v1/completions",
        headers={} if replica is None else {"X-data-parallel-rank": str(replica)},
        json={
            "model": MODEL,
            "prompt": prompt,
            "max_tokens": new_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "return_token_ids": True,
        },
    ).raise_for_status()
    return list(answer.json()["choices"][0]["token_ids"])


def counted_steps(client: httpx.Client) -> dict[str, float]:
    """Samples of ``ascend_steps_total`` by their labels."""
    lines = client.get("/metrics").text.splitlines()
    samples = [line.rsplit(" ", 1) for line in lines if line.startswith("ascend_steps_total{")]
    return {labels: float(value) for labels, value in samples}


def leftovers(environment: Mapping[str, str]) -> set[Path]:
    """Files where a server could leave some: everywhere but in its cache."""
    folders = ["/dev/shm", *(environment[name] for name in ("TMPDIR", "XDG_CONFIG_HOME", "HOME"))]
    return {path for folder in folders for path in Path(folder).rglob("*")}


@contextmanager
def running(
    model: Path,
    folder: Path,
    environment: Mapping[str, str],
    *options: str,
    simulator: Sequence[str] = (),
) -> Iterator[Server]:
    """Run a server of a model until it answers, and end it, however it stands, at the end.

    Parameters
    ----------
    model
        Its folder.
    folder
        Where the server runs and has its log.
    environment
        Of the processes.
    *options
        Of `vllm serve`, besides those that all servers here have.
    simulator
        Options of ``ascend-sim run``.
    """
    log, port = folder / "log", _free_port()
    fixed = sum(_OPTIONS.items(), ("--port", str(port)))
    command = under_simulator(
        *("vllm", "serve", str(model), *fixed, *options), options=(*OFF_LIMITS, *simulator)
    )
    environment = {**environment, "VLLM_SERVER_DEV_MODE": "1"}
    with log.open("w") as output:
        process = psutil.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    server = Server(process, f"http://127.0.0.1:{port}", log, environment)
    family: list[psutil.Process] = []
    try:
        _wait_until_ready(server)
        family = process.children(recursive=True)  # also of a server that is gone by the end
        yield server
    finally:
        if process.is_running():
            family += process.children(recursive=True)
        for member in [*family, process]:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    with server.client() as client:
        while time.monotonic() < deadline:
            assert server.process.poll() is None, server.log.read_text()[-8000:]
            try:
                if client.get("/health").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.5)
    raise AssertionError(f"not ready after {_READY_TIMEOUT_S} s: {server.log.read_text()[-8000:]}")
