# SPDX-License-Identifier: Apache-2.0
"""activate(): when it works, what it sets, what it refuses."""

import os
from pathlib import Path

import pytest

import ascend_sim
from ascend_sim._library import LIBRARIES, toolkit_path


def test_importing_torch_after_activation_finds_the_devices(python) -> None:
    out = python(
        """
        import ascend_sim
        ascend_sim.activate(ascend_sim.SimConfig(devices=3))
        import torch
        print(torch.npu.is_available(), torch.npu.device_count())
        """
    )
    assert out.split() == ["True", "3"]


def test_activation_does_not_import_torch(python) -> None:
    python("import sys, ascend_sim; ascend_sim.activate(); assert 'torch' not in sys.modules")


def test_a_second_call_with_the_same_configuration_does_nothing(python) -> None:
    python(
        """
        import ascend_sim
        config = ascend_sim.activate(ascend_sim.SimConfig(devices=2))
        assert ascend_sim.activate() is config
        assert ascend_sim.activate(ascend_sim.SimConfig(devices=2)) is config
        """
    )


def test_a_second_configuration_is_refused(python) -> None:
    error = python(
        """
        import ascend_sim
        ascend_sim.activate()
        ascend_sim.activate(ascend_sim.SimConfig(devices=2))
        """,
        status=1,
    )
    assert "ActivationError: already active with SimConfig(devices=1" in error


def test_activation_after_torch_is_refused_with_the_remedy(python) -> None:
    error = python(
        "import torch, ascend_sim; ascend_sim.activate()",
        status=1,
        TORCH_DEVICE_BACKEND_AUTOLOAD="0",
    )
    assert "ActivationError: torch is already imported" in error
    assert "pytest --ascend-sim" in error
    assert "ascend-sim run" in error


def test_a_torch_for_cuda_is_refused_with_the_remedy(python, torch_for_cuda) -> None:
    """torch_npu aborts the process that loads it beside such a build."""
    error = python("import ascend_sim; ascend_sim.activate()", status=1, **torch_for_cuda)
    assert "ActivationError: torch 2.13.0 is built for CUDA" in error
    assert "https://download.pytorch.org/whl/cpu 'torch==2.13.0+cpu'" in error


def test_the_configuration_of_a_parent_is_the_default(python) -> None:
    variables = ascend_sim.SimConfig(devices=5).to_env()
    out = python("import ascend_sim; print(ascend_sim.activate().devices)", **variables)
    assert out.strip() == "5"


def test_a_bad_configuration_of_a_parent_is_reported(python) -> None:
    error = python("import ascend_sim; ascend_sim.activate()", status=1, ASCEND_SIM_CONFIG="{")
    assert "ConfigError: ASCEND_SIM_CONFIG is not JSON" in error


def test_children_inherit_by_spawn_and_exec(python) -> None:
    """Given an activating parent, children that know nothing of ascend_sim use its devices."""
    out = python(
        """
        import multiprocessing, subprocess, sys

        def count(queue):
            import torch
            queue.put(torch.npu.device_count())

        if __name__ == "__main__":
            import ascend_sim
            ascend_sim.activate(ascend_sim.SimConfig(devices=2))
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            process = context.Process(target=count, args=(queue,))
            process.start()
            print(queue.get(timeout=240))
            process.join()
            code = "import torch; print(torch.npu.device_count())"
            subprocess.run([sys.executable, "-c", code], check=True)
        """
    )
    assert out.split() == ["2", "2"]


def test_an_existing_library_path_is_kept_behind_our_own(python, tmp_path) -> None:
    other = str(tmp_path)
    out = python(
        "import os, ascend_sim; ascend_sim.activate(); print(os.environ['LD_LIBRARY_PATH'])",
        LD_LIBRARY_PATH=other,
    )
    own = str(ascend_sim.library_path("libascendcl.so").parent)
    assert out.strip() == f"{own}:{other}"


def test_a_library_path_with_another_cann_is_refused(python, tmp_path) -> None:
    (tmp_path / "libascendcl.so").touch()
    error = python(
        "import ascend_sim; ascend_sim.activate()", status=1, LD_LIBRARY_PATH=str(tmp_path)
    )
    assert "CannConflictError: LD_LIBRARY_PATH leads to another CANN" in error
    assert str(tmp_path) in error


def test_the_environment_of_another_toolkit_is_refused(python, tmp_path) -> None:
    for variable in ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "ASCEND_OPP_PATH"):
        error = python(
            "import ascend_sim; ascend_sim.activate()", status=1, **{variable: str(tmp_path)}
        )
        assert f"CannConflictError: {variable} points to another CANN, {tmp_path}" in error
        assert "unset ASCEND_HOME_PATH" in error


def test_a_toolkit_that_is_not_there_is_replaced_with_a_warning(python, tmp_path) -> None:
    out = python(
        """
        import logging, os, sys
        logging.basicConfig(stream=sys.stdout)
        import ascend_sim
        ascend_sim.activate()
        print(os.environ["ASCEND_HOME_PATH"])
        """,
        ASCEND_HOME_PATH=str(tmp_path / "gone"),
    )
    assert "WARNING:ascend_sim._activate:ASCEND_HOME_PATH" in out
    assert out.splitlines()[-1] == str(toolkit_path())


def test_another_cann_that_is_already_loaded_is_refused(python, tmp_path) -> None:
    copy = tmp_path / "libascendcl.so"
    copy.write_bytes(ascend_sim.library_path("libascendcl.so").read_bytes())
    error = python(
        f"import ctypes; ctypes.CDLL('{copy}'); import ascend_sim; ascend_sim.activate()", status=1
    )
    assert "CannConflictError: another CANN is already loaded in this process" in error


def test_activation_by_a_child_of_an_activated_process_works(python) -> None:
    python(
        """
        import subprocess, sys, ascend_sim
        ascend_sim.activate()
        code = "import ascend_sim; ascend_sim.activate()"
        subprocess.run([sys.executable, "-c", code], check=True)
        """
    )


def test_every_library_carries_canns_soname_and_loads_alone(python) -> None:
    """Given LD_LIBRARY_PATH only, as in a child process, each library finds what it needs."""
    folder = ascend_sim.library_path("libascendcl.so").parent
    assert {path.name for path in folder.iterdir()} == set(LIBRARIES)
    for name in LIBRARIES:
        python(f"import ctypes; ctypes.CDLL('{name}')", LD_LIBRARY_PATH=str(folder))


def test_an_unknown_library_is_refused_by_name() -> None:
    with pytest.raises(ascend_sim.ActivationError, match=r"ascend-sim has no libascend_ml\.so"):
        ascend_sim.library_path("libascend_ml.so")


def test_the_toolkit_folder_has_what_torch_npu_looks_for() -> None:
    toolkit = toolkit_path()
    assert all((toolkit / name).is_dir() for name in ("runtime", "compiler", "opp"))
    assert os.access(toolkit, os.R_OK)
    assert not Path(toolkit).is_symlink()
