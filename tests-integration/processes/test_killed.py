# SPDX-License-Identifier: Apache-2.0
"""kill -9 of any process of a server on two devices: the others say why and end; nothing stays."""

import contextlib
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from support.serve import MODEL, Server, leftovers, running
from support.xlite_engines import needs_xlite, xlite

END_TIMEOUT_S = 120


def is_helper(process: psutil.Process) -> bool:
    """Say whether it is Python's resource tracker, which outlives those it cleans up after."""
    return any("resource_tracker" in word for word in process.cmdline())


def engine_core(server: Server) -> psutil.Process:
    """Return the child of the server that has the workers as its children."""
    children = server.process.children()
    [core] = [child for child in children if len(workers_of(child)) > 1]
    return core


def workers_of(core: psutil.Process) -> list[psutil.Process]:
    return [child for child in core.children() if not is_helper(child)]


VICTIMS: dict[str, tuple[Callable[[Server], psutil.Process], tuple[str, ...]]] = {
    # Who is killed, and what the log of the others then has, in vLLM's words or ours.
    "worker 0": (lambda s: workers_of(engine_core(s))[0], ("EngineDeadError", "died")),
    "worker 1": (lambda s: workers_of(engine_core(s))[1], ("EngineDeadError", "died")),
    "engine core": (engine_core, ("EngineDeadError",)),
    "API server": (lambda s: s.process, ("the server", "has ended; this engine ends too")),
}

BACKENDS = [
    # Options of `vllm serve`. Ranks of xlite wait for each other in kernels, not in HCCL.
    pytest.param((), id="ACL graphs"),
    pytest.param(
        (
            *("--dtype", "bfloat16"),
            *("--additional-config", json.dumps(xlite(full_mode=True))),
        ),
        id="xlite",
        marks=needs_xlite,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_others_say_why_and_end_and_leave_nothing(
    backend: tuple[str, ...],
    victim: str,
    device_model: Path,
    vllm_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    """Given an answer in the making, so that the ranks are in the midst of collectives."""
    find, words = VICTIMS[victim]
    before = leftovers(vllm_environment)
    options = ("--tensor-parallel-size", "2", *backend)
    simulator = ("--devices", "2")
    with running(device_model, tmp_path, vllm_environment, *options, simulator=simulator) as server:
        family = [server.process, *server.process.children(recursive=True)]
        body = {"model": MODEL, "prompt": [1, 2], "max_tokens": 500, "ignore_eos": True}
        with (
            server.client() as client,
            client.stream("POST", "/v1/completions", json={**body, "stream": True}) as answer,
        ):
            lines = answer.iter_lines()
            next(lines)
            find(server).send_signal(signal.SIGKILL)
            killed = time.monotonic()
            # The server may end before it has said so to its client.
            with contextlib.suppress(httpx.TransportError):
                list(lines)
        _, alive = psutil.wait_procs(family, timeout=END_TIMEOUT_S)
        assert not alive, f"{alive} after {time.monotonic() - killed:.0f} s"
        log = server.log.read_text()
        assert [word for word in words if word not in log] == []
        assert leftovers(vllm_environment) <= before
