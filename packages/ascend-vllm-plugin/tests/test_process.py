# SPDX-License-Identifier: Apache-2.0
"""vLLM's processes leave nothing behind, end with their server, and say why they did not start."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ascend_vllm_plugin.process import sockets

SERVER = """
import multiprocessing, sys, time
from ascend_vllm_plugin.process.watchdog import end_engine_with_server

def run():
    end_engine_with_server()
    print("engine", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    engine = multiprocessing.get_context("spawn").Process(target=run, name=sys.argv[1])
    engine.start()
    print(engine.pid, flush=True)
    engine.join()
"""
FAILING = """
import logging, multiprocessing, sys
from ascend_vllm_plugin.process import failed_start, sockets

@failed_start.begins_engine
def load():
    raise RuntimeError("no room for the weights")

if __name__ == "__main__":
    logging.basicConfig()
    failed_start.say_cause_at_exit(sockets.make_socket_folder())
    worker = multiprocessing.get_context("spawn").Process(target=load)
    worker.start()
    worker.join()
    if "forget" in sys.argv:
        failed_start.forget_cause()
    print("the last words of vLLM", file=sys.stderr, flush=True)
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a process that the user starts: not a child of one with folder and file."""
    for variable in ("VLLM_RPC_BASE_PATH", "ASCEND_VLLM_FAILED_START"):
        monkeypatch.delenv(variable, raising=False)
    return os.environ | {"TMPDIR": str(tmp_path)}


def script(folder: Path, text: str) -> str:
    file = folder / "script.py"
    file.write_text(text)
    return str(file)


def test_the_folder_of_sockets_is_gone_at_exit(tmp_path: Path, environment: dict[str, str]) -> None:
    code = (
        "import os; from ascend_vllm_plugin.process.sockets import make_socket_folder as make\n"
        "print(make() == os.environ['VLLM_RPC_BASE_PATH'], make())"
    )
    run = subprocess.run(
        (sys.executable, "-c", code), env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["True", "None"]
    assert list(tmp_path.glob("ascend-vllm-*")) == []


def test_one_process_meets_in_that_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_RPC_BASE_PATH", "/folder")
    assert sockets.in_socket_folder("file:///elsewhere/meeting") == "file:///folder/meeting"
    assert sockets.in_socket_folder("tcp://127.0.0.1:1") == "tcp://127.0.0.1:1"


@pytest.mark.parametrize(("name", "ends"), [("EngineCore_DP0", True), ("Worker", False)])
def test_an_engine_ends_with_its_server(
    name: str, ends: bool, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Given a server that is killed; other processes have parents of their own kind to watch."""
    server = subprocess.Popen(
        (sys.executable, script(tmp_path, SERVER), name),
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    engine = psutil.Process(int(server.stdout.readline()))
    assert server.stdout.readline() == "engine\n"

    server.kill()
    server.wait()

    _, alive = psutil.wait_procs([engine], timeout=10 if ends else 1)
    if alive:
        engine.send_signal(signal.SIGKILL)
    server.stdout.close()
    assert (alive == []) is ends


@pytest.mark.parametrize(("arguments", "is_said"), [((), True), (("forget",), False)])
def test_the_cause_of_a_failed_start_comes_last(
    arguments: tuple[str, ...], is_said: bool, tmp_path: Path, environment: dict[str, str]
) -> None:
    run = subprocess.run(
        (sys.executable, script(tmp_path, FAILING), *arguments),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    end = run.stderr.rpartition("the last words of vLLM")[2]
    cause = "the engine did not start. RuntimeError: no room for the weights"
    assert (cause in end) is is_said
