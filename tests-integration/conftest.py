# SPDX-License-Identifier: Apache-2.0
"""Tests of the installed packages together: vLLM, torch_npu and the plugin on a simulated NPU.

Engines run in processes of their own under ``ascend-sim run``, as users start them. This process
only needs the simulator because transformers, the oracle, imports torch_npu where it is installed.
"""

import os
from pathlib import Path

import ascend_sim

ascend_sim.activate()

import pytest  # noqa: E402
from support.engine import OFF_LIMITS, EngineRuns  # noqa: E402
from support.models import FAMILIES, make_device_model, make_model  # noqa: E402

# As it was before a module of tests imports vLLM, which sets variables.
_ENVIRONMENT = dict(os.environ)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random models by family."""
    folder = tmp_path_factory.mktemp("models")
    return {family: make_model(family, folder / family) for family in FAMILIES}


@pytest.fixture(scope="session")
def tiny_model(models: dict[str, Path]) -> Path:
    """A random Qwen3, for tests that need any model."""
    return models["qwen3"]


@pytest.fixture(scope="session")
def device_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen3 that a device takes, in bf16."""
    return make_device_model("qwen3", tmp_path_factory.mktemp("device") / "qwen3")


@pytest.fixture(scope="session")
def vllm_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which vLLM writes nowhere else than into one temporary folder."""
    folder = tmp_path_factory.mktemp("vllm")
    folders = {
        "HOME": "home",
        "TMPDIR": "tmp",
        "XDG_CACHE_HOME": "cache",
        "XDG_CONFIG_HOME": "config",
        "VLLM_CACHE_ROOT": "cache/vllm",
    }
    for name in folders.values():
        (folder / name).mkdir(parents=True)
    return {
        **_ENVIRONMENT,
        **{variable: str(folder / name) for variable, name in folders.items()},
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }


@pytest.fixture(scope="session")
def engine_runs(vllm_environment: dict[str, str]) -> EngineRuns:
    """Runs of engines in fp32; those that were asked for before are not run again."""
    return EngineRuns(vllm_environment, OFF_LIMITS)


@pytest.fixture(scope="session")
def device_runs(vllm_environment: dict[str, str]) -> EngineRuns:
    """Runs of engines on what takes no more than a device."""
    return EngineRuns(vllm_environment)
