# SPDX-License-Identifier: Apache-2.0
"""Programs that run in several processes, one per rank."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import ascend_sim

__all__ = ["Ranks"]

_PRELUDE = """
import json, time, os, sys
import numpy as np
from ctypes import *
from hccl_abi import *
from oracle import *
rank, world = me.rank, me.world
def tell(value): print(json.dumps(value), flush=True)
"""


class Ranks:
    """The processes of one test.

    Parameters
    ----------
    folder : Path
        Where they meet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._libraries = ascend_sim.library_path("libhccl.so").parent
        self._started = 0
        self.processes: list[subprocess.Popen[str]] = []

    def start(
        self,
        program: str,
        world: int = 2,
        *,
        started: int | None = None,
        config: dict[str, Any] | None = None,
        **environment: str,
    ) -> "Ranks":
        """Start the first ``started`` of ``world`` ranks, all without it."""
        settings = {"devices": max(world, 1)} | (config or {})
        code = _PRELUDE + textwrap.dedent(program)
        main = Path(__file__).parent / "hccl_abi.py"
        self._started += 1
        meeting = self._folder / str(self._started)
        meeting.mkdir(parents=True)
        self.processes = []
        for rank in range(world if started is None else started):
            where = [self._libraries, meeting, rank, world, rank]
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, str(main), *map(str, where), code],
                    env=os.environ | {"ASCEND_SIM_CONFIG": json.dumps(settings)} | environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        return self

    def results(self) -> list[Any]:
        """Return what each rank told, as a list, when all have ended well."""
        told = []
        for rank, process in enumerate(self.processes):
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, f"rank {rank}: {err}"
            told.append([json.loads(line) for line in out.splitlines()])
        return told

    def line(self, rank: int) -> Any:
        """Return the next thing that a rank tells."""
        stream = self.processes[rank].stdout
        assert stream is not None
        return json.loads(stream.readline())

    def kill(self, rank: int) -> None:
        """End a rank as the kernel ends a process that is out of memory."""
        self.processes[rank].send_signal(signal.SIGKILL)

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
