# SPDX-License-Identifier: Apache-2.0
"""The command line, run as a program."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ascend_sim
from ascend_sim import SimConfig, read_counters

SHOW_CONFIG = "import os; print(os.environ['ASCEND_SIM_CONFIG'])"
ONE_KERNEL = "import torch; torch.ones(4, device='npu').cpu()"


def test_run_hands_the_options_down(cli, tmp_path) -> None:
    result = cli(
        *("run", "--devices", "2", "--soc", "Ascend910B1", "--hbm", "1.5GiB", "--streams", "99"),
        *("--events", "77", "--sq", "hardware", "--schedule", "inline", "--compute", "off"),
        *("--limits", "off", "--numerics", "npu", "--check", "hazards"),
        *("--counters", str(tmp_path / "new"), "--", sys.executable, "-c", SHOW_CONFIG),
    )
    assert json.loads(result.stdout) == {
        "devices": 2,
        "soc": "Ascend910B1",
        "hbm_bytes": 3 << 29,
        "streams": 99,
        "events": 77,
        "sq": "hardware",
        "schedule": "inline",
        "compute": "off",
        "limits": "off",
        "numerics": "npu",
        "check": "hazards",
        "counters_dir": str(tmp_path / "new"),
    }


def test_run_refuses_a_torch_for_cuda_with_the_remedy(cli, torch_for_cuda) -> None:
    result = cli("run", "--", sys.executable, "-c", "print('it runs')", **torch_for_cuda)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "torch 2.13.0 is built for CUDA" in result.stderr
    assert "'torch==2.13.0+cpu'" in result.stderr
    assert "Traceback" not in result.stderr


def test_options_refine_what_a_parent_handed_down(cli) -> None:
    parent = SimConfig(devices=4, streams=50).to_env()
    result = cli("run", "--streams", "60", sys.executable, "-c", SHOW_CONFIG, **parent)
    config = SimConfig.from_mapping(json.loads(result.stdout))
    assert (config.devices, config.streams) == (4, 60)


def test_run_replaces_itself_with_the_command(clean_environ) -> None:
    """No process stands between a shell and the command: signals and exit status are its own."""
    program = Path(sys.executable).with_name("ascend-sim")
    code = "import os; print(os.getpid()); raise SystemExit(7)"
    with subprocess.Popen(
        [program, "run", "--", sys.executable, "-c", code],
        env=clean_environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, _ = process.communicate(timeout=60)
    assert (int(out), process.returncode) == (process.pid, 7)


def test_run_gives_torch_its_devices(cli) -> None:
    code = "import torch; print(torch.npu.device_count(), torch.npu.get_device_name(0))"
    result = cli("run", "--devices", "2", "--", sys.executable, "-c", code)
    assert result.stdout.split() == ["2", "Ascend910B3"], result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run"], "Missing argument 'COMMAND...'"),
        (["run", "--devices", "0", "true"], "0 is not in the range 1<=x<=16"),
        (["run", "--hbm", "8GB", "true"], "'8GB' is not a size"),
        (["run", "--soc", "Ascend910A", "true"], "is not one of 'Ascend310P1'"),
        (["run", "--schedule", "chaos", "true"], "threads, inline, chaos:SEED"),
        (["run", "--divices", "2", "true"], "--devices"),
        (["run", "--streams", "40000", "true"], "from 1 to 32768"),
        (["run", "--", "no-such-program"], "cannot run no-such-program: No such file"),
        (["run", "--stats", "--", "no-such-program"], "cannot run no-such-program: No such file"),
        (["coverage", "--library", "libfoo"], "libraries are libacl_op_compiler"),
    ],
)
def test_bad_usage_is_refused_with_a_reason(cli, arguments: list[str], complaint: str) -> None:
    result = cli(*arguments)
    assert result.returncode != 0
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_run_refuses_another_cann(cli, tmp_path) -> None:
    result = cli("run", "true", ASCEND_HOME_PATH=str(tmp_path))
    assert result.returncode == 1
    assert "Error: ASCEND_HOME_PATH points to another CANN" in result.stderr


def test_stats_are_printed_at_exit_with_the_status_kept(cli) -> None:
    result = cli("run", "--stats", "--", sys.executable, "-c", ONE_KERNEL + "; raise SystemExit(3)")
    assert result.returncode == 3
    assert result.stdout == ""
    lines = dict(line.split() for line in result.stderr.splitlines() if line.startswith("  "))
    assert "ascend-sim: 1 process(es) used the simulator" in result.stderr
    assert int(lines["kernels_launched"]) >= 1
    assert int(lines["bytes_copied"]) == 16


def test_stats_count_this_run_only_when_the_folder_is_kept(cli, tmp_path) -> None:
    arguments = ("run", "--stats", "--counters", str(tmp_path), "--", sys.executable, "-c")
    first, second = (
        [line for line in cli(*arguments, ONE_KERNEL).stderr.splitlines() if line.startswith("  ")]
        for _ in range(2)
    )
    assert first
    assert first == second
    assert len(read_counters(tmp_path)) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_command_under_stats(clean_environ, number: int) -> None:
    program = Path(sys.executable).with_name("ascend-sim")
    code = (
        "import signal, time\n"
        f"signal.signal({int(number)}, lambda *_: (print('stopped'), exit(5)))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [program, "run", "--stats", "--", sys.executable, "-c", code],
        env=clean_environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("stopped\n", 5)
    assert time.monotonic() - started < 30


def test_a_command_killed_by_a_signal_has_the_shells_status_under_stats(cli) -> None:
    code = f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    assert cli("run", "--stats", "--", sys.executable, "-c", code).returncode == 128 + 9


def test_info_says_what_is_installed_and_simulated(cli) -> None:
    result = cli("info", **SimConfig(devices=2).to_env())
    assert result.returncode == 0, result.stderr
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["ascend-sim"] == ascend_sim.__version__
    assert lines["CANN"] == "ABI     9.1.0 (simulated)"
    assert lines["devices"] == "2 x Ascend910B3, 8 GiB each"
    assert Path(lines["libraries"]).is_dir()
    assert Path(lines["toolkit"]).is_dir()


def test_info_does_not_import_torch(cli, tmp_path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    assert cli("info", PYTHONPATH=str(tmp_path)).returncode == 0


def test_coverage_sums_up_by_library(cli) -> None:
    result = cli("coverage")
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert rows.pop("library") == ["implemented", "approximate", "stub", "absent"]
    total = [int(number) for number in rows.pop("total")]
    assert [sum(int(row[i]) for row in rows.values()) for i in range(len(total))] == total


def test_coverage_lists_functions(cli) -> None:
    result = cli("coverage", "--list", "--library", "libascendcl", "--status", "implemented")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["aclrtMemcpyAsync", "libascendcl", "implemented", "recorded"] in rows
    assert {tuple(row[1:3]) for row in rows} == {("libascendcl", "implemented")}


def test_the_version_is_the_package_s(cli) -> None:
    assert cli("--version").stdout.split()[-1] == ascend_sim.__version__


def test_the_command_also_works_with_a_relative_counters_folder(cli, tmp_path) -> None:
    code = f"import os; os.chdir('/'); {ONE_KERNEL}"
    relative = os.path.relpath(tmp_path)
    result = cli("run", "--counters", relative, "--", sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr
    assert len(read_counters(tmp_path)) == 1
