# SPDX-License-Identifier: Apache-2.0
"""Processes of one run: they share a ledger, and each is fed with lines of Python."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import acl_abi
import pytest

__all__ = ["Process", "Run", "begin"]

CONFIG = {"streams": 100, "hbm_bytes": 1 << 30, "devices": 2}


class Run:
    """Processes with one ledger, each fed with lines of Python, as a shell would."""

    def __init__(self, library: Path, ledger: Path, config: dict[str, object]) -> None:
        self.library, self.ledger, self.config = library, ledger, config
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, **variables: str) -> "Process":
        prelude = f"""
            import os, signal, sys; sys.path.insert(0, {str(Path(acl_abi.__file__).parent)!r})
            from ctypes import byref, c_void_p
            from pathlib import Path
            from acl_abi import *
            acl = Acl(Path({str(self.library)!r}))
            acl.ok("aclrtSetDevice", 0)
            print("ready", flush=True)
            for line in sys.stdin:
                exec(line)
                print("done", flush=True)
        """
        environ = {
            "ASCEND_SIM_CONFIG": json.dumps(self.config),
            "ASCEND_SIM_LEDGER": str(self.ledger),
        }
        process = Process(textwrap.dedent(prelude), environ | variables)
        self.processes.append(process.process)
        return process

    def usage(self) -> dict:
        """The ledger as libascendcl tells it."""
        library = ctypes.CDLL(str(self.library))
        library.ascendSimReadLedger.restype = ctypes.c_char_p
        return json.loads(library.ascendSimReadLedger(os.fsencode(self.ledger)))


class Process:
    def __init__(self, code: str, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._read_until("ready")

    def do(self, line: str) -> str:
        """Run one line; return what it printed."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._read_until("done")

    def free(self) -> int:
        return int(self.do("print(acl.streams_available())"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read_until(self, end: str) -> str:
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            if line.strip() == end:
                return text
            text += line
        raise AssertionError(f"the process ended: {text}")


@pytest.fixture
def begin(library: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Begin a machine; its processes are killed at the end."""
    runs: list[Run] = []

    def make(**config: object) -> Run:
        path = tmp_path / f"ledger{len(runs)}"
        runs.append(Run(library, path, CONFIG | config))
        path.touch()
        native = ctypes.CDLL(str(library))
        native.aclGetRecentErrMsg.restype = ctypes.c_char_p
        with path.open("r+b") as file:
            text = json.dumps(runs[-1].config).encode()
            assert native.ascendSimMakeLedger(file.fileno(), text) == 0, native.aclGetRecentErrMsg()
        return runs[-1]

    yield make
    for run in runs:
        for process in run.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and its forks
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
