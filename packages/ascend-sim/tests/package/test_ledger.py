# SPDX-License-Identifier: Apache-2.0
"""The ledger of a run and the container's files, as programs meet them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ascend_sim

# A program that takes some streams and says so; then it waits for its input to end.
HOLDER = """
import ctypes, sys
import ascend_sim
acl = ctypes.CDLL(str(ascend_sim.library_path("libascendcl.so")))
assert acl.aclrtSetDevice(0) == 0
for _ in range(int(sys.argv[1])):
    assert acl.aclrtCreateStream(ctypes.byref(ctypes.c_void_p())) == 0
print(ascend_sim.ledger().free("streams"), flush=True)
sys.stdin.read()
"""


def test_the_processes_of_one_run_share_its_devices(cli) -> None:
    code = f"""
import subprocess, sys
import ascend_sim
def start(streams):
    program = [sys.executable, "-c", {HOLDER!r}, str(streams)]
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
one = start(30)
print(one.stdout.readline().strip())
other = start(20)
print(other.stdout.readline().strip())
one.kill()
one.wait()
print(ascend_sim.ledger().free("streams"))
other.communicate()
"""
    result = cli("run", "--streams", "100", "--", sys.executable, "-c", code)
    assert result.stdout.split() == ["70", "50", "80"], result.stderr


def test_two_runs_share_nothing(cli) -> None:
    inner = ("ascend-sim", "run", "--streams", "90", "--", sys.executable, "-c", HOLDER, "5")
    code = f"""
import subprocess
import ctypes, ascend_sim
acl = ctypes.CDLL(str(ascend_sim.library_path("libascendcl.so")))
assert acl.aclrtSetDevice(0) == 0 == acl.aclrtCreateStream(ctypes.byref(ctypes.c_void_p()))
subprocess.run({[str(Path(sys.executable).with_name(inner[0])), *inner[1:]]!r}, check=True,
               stdin=subprocess.DEVNULL)
print(ascend_sim.ledger().free("streams"))
"""
    result = cli("run", "--streams", "100", "--", sys.executable, "-c", code)
    assert result.stdout.split() == ["85", "99"], result.stderr


def test_a_process_that_activates_shares_with_its_children(python) -> None:
    python(
        f"""
        import subprocess, sys
        import ascend_sim
        ascend_sim.activate(ascend_sim.SimConfig(streams=100))
        import torch
        torch.ones(1, device="npu")
        mine = 100 - ascend_sim.ledger().free("streams")
        assert mine > 0
        program = [sys.executable, "-c", {HOLDER!r}, "30"]
        child = subprocess.run(program, input="", stdout=subprocess.PIPE, text=True, check=True)
        assert int(child.stdout) == 70 - mine, child.stdout
        """
    )


def test_the_command_ledger_shows_the_processes_of_a_run_and_forgets_it(cli, clean_environ) -> None:
    program = Path(sys.executable).with_name("ascend-sim")
    command = [program, "run", "--tenant", "streams=7", "--", sys.executable, "-c", HOLDER, "30"]
    with subprocess.Popen(
        command, env=clean_environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(1984 - 7 - 30)
        shown = cli("ledger").stdout
        lines = [line.split() for line in shown.splitlines()]
        assert ["0", "process", str(process.pid), "30", "30"] in [line[:5] for line in lines]
        assert ["0", "tenant", "0", "7"] in [line[:4] for line in lines]
        (path,) = [line[0] for line in lines if line[0].startswith(f"/proc/{process.pid}/")]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert str(path) not in cli("ledger").stdout
    over = cli("ledger", path)
    assert over.returncode != 0
    assert "start the program with `ascend-sim run` again" in over.stderr
    with pytest.raises(ascend_sim.LedgerError, match="has ended"):
        ascend_sim.ledger(path)


def test_a_ledger_of_another_version_is_a_typed_error(tmp_path) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b"ASIMLDG1" + b"9.9.9".ljust(1 << 16, b"\0"))
    with pytest.raises(ascend_sim.LedgerError, match=r"made by ascend-sim 9\.9\.9"):
        ascend_sim.ledger(path)


# --- partitions ---

LOOK = """
import os
from ascend_core import Device, Partition, probe
seen = probe(streams=True)
partition = seen.partition
print(partition.aicore_quota, partition.memory_quota, partition.policy.name, partition.enforced)
print(seen.memory.total == 2 << 30, os.environ["ENPU_ENABLE"], seen.streams_available)
print(partition.share_of(1984), Device(0).streams_available())
print(os.environ["ASCEND_PARTITION_ROOT"])
"""


def test_a_program_in_a_partition_sees_its_share_and_the_other_tenants(cli) -> None:
    pytest.importorskip("ascend_core")
    options = ("--partition", "aicore=30,memory=2GiB,policy=fixed-share")
    result = cli("run", *options, "--tenant", "streams=1500", "--", sys.executable, "-c", LOOK)
    *lines, root = result.stdout.splitlines()
    assert lines == [
        "30 2048 FIXED_SHARE True",
        "True true 484",
        "595 484",
    ], result.stderr
    assert not Path(root).exists()


def test_an_activated_process_leaves_no_partition_behind(python) -> None:
    pytest.importorskip("ascend_core")
    root = python(
        """
        import ascend_sim
        ascend_sim.activate(ascend_sim.SimConfig(partition="aicore=20,memory=1GiB"))
        import os
        from ascend_core import Partition
        assert Partition.read().aicore_quota == 20
        if os.fork() == 0:
            raise SystemExit  # the folder is not the fork's to remove
        os.wait()
        assert Partition.read().memory_quota == 1024
        print(os.environ["ASCEND_PARTITION_ROOT"])
        """
    ).strip()
    assert not Path(root).exists()


def test_a_stream_that_another_tenant_took_is_the_error_of_torch(cli) -> None:
    code = """
import time, torch
streams = []
try:
    while True:
        streams.append(torch.npu.Stream())
        torch.ones(1, device="npu")
        if len(streams) > 4:
            graph = torch.npu.NPUGraph()
            with torch.npu.graph(graph):
                x = torch.ones(1, device="npu")
            graph.replay()
except RuntimeError as error:
    print("207005" in str(error) or str(error))
"""
    result = cli("run", "--tenant", "streams=1980", "--", sys.executable, "-c", code)
    assert result.stdout.split()[-1:] == ["True"], result.stderr


def _wait_for(condition, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def test_a_partition_run_forwards_signals_and_cleans_up(clean_environ, tmp_path) -> None:
    program = Path(sys.executable).with_name("ascend-sim")
    code = (
        "import os, sys; print(os.environ['ASCEND_PARTITION_ROOT'], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [program, "run", "--partition", "aicore=10", "--", sys.executable, "-c", code],
        env=clean_environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        root = Path(process.stdout.readline().strip())
        assert (root / "etc/enpu/vcann-rt/npu_info.config").exists()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert _wait_for(lambda: not root.exists())
