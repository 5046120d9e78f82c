# SPDX-License-Identifier: Apache-2.0
"""`pytest --ascend-sim`, run on projects of its own."""

import os
import sys

import pytest

pytest_plugins = ["pytester"]

CONFTEST = "import torch; assert torch.npu.device_count() == 2"
TESTS = """
    import pytest
    import torch

    def test_counters(ascend_sim_counters):
        torch.ones(4, device="npu").add(1)
        torch.npu.synchronize()
        first = ascend_sim_counters()
        assert first["kernels_launched"] >= 1
        torch.ones(4, device="npu").cpu()
        assert ascend_sim_counters()["bytes_copied"] == first["bytes_copied"] + 16

    def test_a_fault_strikes(ascend_sim_fault):
        fault = ascend_sim_fault("fail:malloc,from=1")
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(1 << 28, device="npu")
        assert fault.hits >= 1

    def test_a_fault_ends_with_its_test():
        torch.empty(1 << 28, device="npu")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, clean_environ, monkeypatch) -> pytest.Pytester:
    """A project in a shell in which neither CANN nor the simulator was ever set up."""
    for name in set(os.environ) - set(clean_environ):
        monkeypatch.delenv(name)
    return pytester


def test_the_simulator_is_there_before_a_conftest_imports_torch(project) -> None:
    """Given options in the ini and on the command line, both hold, and the header says so."""
    project.makeini("[pytest]\nascend_sim_options = --devices 2 --hbm 4GiB")
    project.makeconftest(CONFTEST)
    project.makepyfile(TESTS)

    result = project.runpytest_subprocess("--ascend-sim", "--ascend-sim-options=--hbm 2GiB")

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["ascend-sim: 2 x Ascend910B3, 2 GiB each"])


def test_each_worker_of_xdist_has_a_machine_of_its_own(project) -> None:
    project.makepyfile(
        """
        import os, pathlib, time
        import ascend_sim, torch

        HERE = pathlib.Path(__file__).parent

        def test_nobody_else_is_on_the_device():
            torch.ones(1, device="npu")
            (HERE / f"{os.getpid()}.here").touch()
            deadline = time.monotonic() + 120
            while len(list(HERE.glob("*.here"))) < 2:
                assert time.monotonic() < deadline, "the other worker never came"
                time.sleep(0.05)
            assert [process.pid for process in ascend_sim.ledger().processes] == [os.getpid()]
        """
    )

    result = project.runpytest_subprocess("--ascend-sim", "--dist=each", "--tx=2*popen")

    result.assert_outcomes(passed=2)


def test_without_the_flag_nothing_is_imported_and_the_fixtures_skip(project) -> None:
    project.makepyfile(
        """
        import sys

        def test_nothing_is_imported():
            assert not {"torch", "ascend_sim", "click"} & set(sys.modules)

        def test_counters(ascend_sim_counters): pass
        def test_faults(ascend_sim_fault): pass
        """
    )

    result = project.runpytest_subprocess("-rs")

    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*needs the simulator: run pytest with --ascend-sim"])


def test_the_fixtures_work_under_ascend_sim_run(project, cli) -> None:
    project.makepyfile("def test_counters(ascend_sim_counters): ascend_sim_counters()")

    result = cli("run", "--", sys.executable, "-m", "pytest", str(project.path))

    assert "1 passed" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--ascend-sim-options=--devices 2"], "*does nothing without --ascend-sim"),
        (["--ascend-sim", "--ascend-sim-options=--devics 2"], "*No such option '--devics'*"),
        (["--ascend-sim", "--ascend-sim-options=--hbm 8GB"], "*'8GB' is not a size*"),
        (["--ascend-sim", "--ascend-sim-options=train.py"], "*unexpected extra argument*"),
        (["-p", "torch", "--ascend-sim"], "*torch is already imported*ascend-sim run -- pytest*"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(project, monkeypatch, arguments, complaint) -> None:
    monkeypatch.setenv("TORCH_DEVICE_BACKEND_AUTOLOAD", "0")

    result = project.runpytest_subprocess(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {complaint}"])
