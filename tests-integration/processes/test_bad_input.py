# SPDX-License-Identifier: Apache-2.0
"""What cannot work is refused at start, with the option, the reason and what to do."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.engine import Batch, EngineRun, EngineRuns, under_simulator
from support.models import make_model
from support.runs import engine_options
from support.scripts import lines_of

SERVE = ["vllm", "serve", "/nonexistent"]


@dataclass(frozen=True)
class Case:
    """Options, and words that the error must have."""

    name: str
    options: dict[str, Any]
    words: tuple[str, ...]


def graphs(**options: Any) -> dict[str, Any]:
    return {"compilation_config": options}


def plugin(**options: Any) -> dict[str, Any]:
    return {"additional_config": options}


CASES = [
    Case(
        "unknown key",
        plugin(graph_updat_order="update_first"),
        ("additional_config.graph_updat_order", "graph_update_order"),
    ),
    Case(
        "bad value",
        plugin(graph_update_order="later"),
        ("graph_update_order", "later", "replay_first", "update_first"),
    ),
    Case(
        "heads that xlite does not rotate",
        {"dtype": "bfloat16", **plugin(xlite_graph_config={"enabled": True})},
        ("model rotary dimension = 32", "64, 128"),
    ),
    Case(
        "a type that xlite does not compute in",
        {"dtype": "float32", **plugin(xlite_graph_config={"enabled": True})},
        ("--dtype", "float32", "bfloat16"),
    ),
    Case(
        "a mode of xlite without xlite",
        plugin(xlite_graph_config={"full_mode": True}),
        ("xlite_graph_config.full_mode", "enabled = true"),
    ),
    Case(
        "unknown key of xlite",
        plugin(xlite_graph_config={"enable": True}),
        ("xlite_graph_config.enable", "enabled"),
    ),
    Case(
        "torchair",
        plugin(torchair_graph_config={"enabled": True}),
        ("torchair_graph_config", "not in this version"),
    ),
    Case(
        "several at once",
        {"block_size": 16, **plugin(weight_nz_mode=1, enable_kv_nz=True)},
        ("3 options", "--block-size", "weight_nz_mode", "enable_kv_nz"),
    ),
    Case(
        "eager and a graph mode",
        {"enforce_eager": True, **graphs(cudagraph_mode="FULL")},
        ("--enforce-eager", "cudagraph_mode", "FULL"),
    ),
    Case(
        "pieces without compilation",
        graphs(mode=0, cudagraph_mode="PIECEWISE"),
        ("cudagraph_mode", "PIECEWISE", "compilation_config.mode"),
    ),
    Case(
        "gaps between sizes",
        {"max_model_len": 64, **graphs(cudagraph_mode="FULL", cudagraph_capture_sizes=[1, 256])},
        ("cudagraph_capture_sizes", "max_model_len = 64"),
    ),
    Case(
        "a size of 0",
        graphs(cudagraph_capture_sizes=[0, 1, 2]),
        ("cudagraph_capture_sizes", "0 has not"),
    ),
    Case(
        "sizes beyond every batch",
        graphs(cudagraph_mode="FULL_DECODE_ONLY", cudagraph_capture_sizes=[16, 32]),
        ("cudagraph_capture_sizes", "--max-num-seqs = 8"),
    ),
    Case("inductor", graphs(backend="inductor"), ("compilation_config.backend", "eager")),
    Case("tensor parallel", {"tensor_parallel_size": 2}, ("--tensor-parallel-size",)),
    Case("pipeline parallel", {"pipeline_parallel_size": 2}, ("--pipeline-parallel-size",)),
    Case("lora", {"enable_lora": True}, ("--enable-lora",)),
    Case("block size", {"block_size": 16}, ("--block-size", "16", "128")),
    Case("cache type", {"kv_cache_dtype": "fp8"}, ("--kv-cache-dtype", "auto")),
    Case("quantization", {"quantization": "fp8"}, ("--quantization", "fp8")),
    Case("dtype", {"dtype": "float64"}, ("dtype", "float64")),
    Case("a need of the model", {"model": "soft cap"}, ("--model", "Llama", "soft cap")),
]


@pytest.fixture(scope="session")
def unsupported(
    models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Models that are not supported, by the name that cases give them."""
    folder = tmp_path_factory.mktemp("unsupported")
    model = make_model("llama", folder / "soft cap", attn_logit_softcapping=50.0)
    return {"soft cap": str(model)}


@pytest.fixture(scope="session")
def errors(
    tiny_model: Path, unsupported: dict[str, str], vllm_environment: dict[str, str]
) -> dict[str, str]:
    """Error of every case, by its name; and of one that is right."""
    defaults = {"model": str(tiny_model), "max_model_len": 512, "max_num_seqs": 8}
    jobs = [
        defaults | case.options | named_model(case, unsupported)
        for case in (*CASES, Case("right", {}, ()))
    ]
    lines = lines_of("config_process.py", vllm_environment, jobs, count=len(jobs))
    return dict(zip([*(case.name for case in CASES), "right"], lines, strict=True))


def named_model(case: Case, unsupported: dict[str, str]) -> dict[str, str]:
    name = case.options.get("model")
    return {"model": unsupported[name]} if name else {}


def test_options_that_are_right_are_accepted(errors: dict[str, str]) -> None:
    assert errors["right"] == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_error_names_the_option(case: Case, errors: dict[str, str]) -> None:
    error = errors[case.name]
    assert error
    for word in case.words:
        assert word in error


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (
            "float32",
            ("option --dtype = 'float32'", "`--dtype bfloat16`", "ascend-sim run --limits"),
        ),
        pytest.param(
            "bfloat16",
            ("option --model = '4 heads of 32, 2 of keys", "head size must be"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_the_attention_kernel_refuses_is_refused_at_start(
    dtype: str, words: tuple[str, ...], tiny_model: Path, device_runs: EngineRuns
) -> None:
    options = engine_options(tiny_model, "eager", dtype=dtype)
    run = EngineRun(f"refused, {dtype}", options, [Batch([[1]], 1)])
    log = device_runs.results([run])[run.name]
    assert isinstance(log, str)
    for word in words:
        assert word in log


def start(command: list[str], environment: dict[str, str]) -> str:
    """What a server prints that cannot start."""
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert process.returncode != 0
    return process.stdout + process.stderr


def pretend_installed(folder: Path, distribution: str, version: str) -> Path:
    """Make a folder that, on the path, makes a distribution look installed."""
    metadata = folder / f"{distribution}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    return folder


def with_path(environment: dict[str, str], folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    return {**environment, "PYTHONPATH": path.rstrip(os.pathsep)}


def test_an_unknown_graph_mode_names_the_option_and_the_modes_there_are(
    vllm_environment: dict[str, str],
) -> None:
    compilation = json.dumps({"cudagraph_mode": "FULLY"})
    command = under_simulator(*SERVE, "--compilation-config", compilation)
    error = start(command, vllm_environment)
    for word in ("cudagraph_mode", "FULLY", "FULL_DECODE_ONLY"):
        assert word in error


def test_without_npu_and_simulator_both_ways_to_go_on_are_named(
    vllm_environment: dict[str, str],
) -> None:
    bare = {
        name: value for name, value in vllm_environment.items() if not name.startswith("ASCEND_SIM")
    }
    bare.pop("LD_LIBRARY_PATH", None)
    error = start(SERVE, bare)
    assert "libascendcl.so" in error
    assert "set_env.sh" in error
    assert "ascend-sim run" in error


@pytest.mark.parametrize(
    ("visible", "words"),
    [
        ("0,1,5", "there is no device 5"),
        pytest.param("1,0", "Set it to 0,1.", marks=pytest.mark.slow),
    ],
)
def test_devices_that_are_named_and_not_given_are_refused(
    visible: str, words: str, vllm_environment: dict[str, str]
) -> None:
    command = under_simulator(*SERVE, options=("--devices", "2"))
    error = start(command, {**vllm_environment, "ASCEND_RT_VISIBLE_DEVICES": visible})
    assert words in error


def test_a_version_outside_the_matrix_is_refused_with_the_command_that_mends_it(
    vllm_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = pretend_installed(tmp_path, "torch_npu", "2.9.0")
    error = start(under_simulator(*SERVE), with_path(vllm_environment, folder))
    assert "torch_npu 2.9.0 is installed" in error
    assert "pip install" in error


def test_vllm_ascend_beside_the_plugin_is_refused(
    vllm_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = pretend_installed(tmp_path, "vllm_ascend", "0.30.0")
    error = start(under_simulator(*SERVE), with_path(vllm_environment, folder))
    assert "one of the two must go" in error
    assert "pip uninstall vllm-ascend" in error
