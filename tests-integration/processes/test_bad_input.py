# SPDX-License-Identifier: Apache-2.0
"""What cannot work is refused at start, with the option, the reason and what to do."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import support
from safetensors.torch import load_file, save_file
from support.engine import OFF_LIMITS, Batch, EngineRun, EngineRuns, under_simulator
from support.models import make_model
from support.runs import engine_options
from support.scripts import lines_of

SERVE = ["vllm", "serve", "/nonexistent"]
DEVICES = 3
WEIGHTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


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
        "unknown key of graphs",
        plugin(graph={"max_stream": 100}),
        ("graph.max_stream", "max_streams"),
    ),
    Case(
        "no streams for graphs",
        plugin(graph={"max_streams": 0}),
        ("graph.max_streams", "1 or more"),
    ),
    Case(
        "a reserve beside a budget",
        plugin(graph={"max_streams": 100, "reserve_streams": 40}),
        ("graph.reserve_streams", "graph.max_streams", "one of the two"),
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
    Case(
        "more ranks than devices",
        {"tensor_parallel_size": 4},
        ("--tensor-parallel-size = 4", "this process sees 3"),
    ),
    Case(
        "heads that ranks cannot share",
        {"tensor_parallel_size": 3},
        ("--tensor-parallel-size = 3", "num_attention_heads = 4"),
    ),
    Case(
        "experts that ranks cannot cut",
        {"model": "two experts", "tensor_parallel_size": 3},
        ("--tensor-parallel-size = 3", "moe_intermediate_size = 64"),
    ),
    Case(
        "experts that ranks cannot share",
        {"model": "two experts", "tensor_parallel_size": 3, "enable_expert_parallel": True},
        ("--enable-expert-parallel = True", "3 ranks for 2 experts"),
    ),
    Case("stages beyond the devices", {"pipeline_parallel_size": 4}, ("each of 4 ranks",)),
    Case("lora", {"enable_lora": True}, ("--enable-lora",)),
    Case("block size", {"block_size": 16}, ("--block-size", "16", "128")),
    Case("cache type", {"kv_cache_dtype": "fp8"}, ("--kv-cache-dtype", "auto")),
    Case("quantization", {"quantization": "fp8"}, ("--quantization", "fp8")),
    Case("dtype", {"dtype": "float64"}, ("dtype", "float64")),
    Case("a need of the model", {"model": "soft cap"}, ("--model", "Llama", "soft cap")),
    Case("a class that vLLM lacks", {"model": "no class"}, ("NoForCausalLM", "not supported")),
]


@pytest.fixture(scope="session")
def unsupported(
    models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Models that are not supported, or not as they are asked for, by the name in cases."""
    folder = tmp_path_factory.mktemp("unsupported")
    heads_for_three = {"num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 32}
    experts = {"num_experts": 2, "num_experts_per_tok": 2, "num_hidden_layers": 1}
    made = [
        make_model("llama", folder / "soft cap", attn_logit_softcapping=50.0),
        make_model("qwen3_moe", folder / "two experts", **heads_for_three, **experts),
        without_class(make_model("llama", folder / "no class", num_hidden_layers=1)),
    ]
    return {model.name: str(model) for model in made}


def without_class(model: Path) -> Path:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"architectures": ["NoForCausalLM"]}))
    return model


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
    devices = ("--devices", str(DEVICES))
    lines = lines_of(
        "config_process.py", vllm_environment, jobs, simulator=devices, count=len(jobs)
    )
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


def no_weights(model: Path) -> None:
    for file in WEIGHTS:
        (model / file).unlink()
    (model / "model.safetensors.index.json").unlink()


def missing_file(model: Path) -> None:
    (model / WEIGHTS[1]).unlink()


def missing_tensor(model: Path) -> None:
    save_file(dict([*load_file(model / WEIGHTS[1]).items()][1:]), model / WEIGHTS[1])


def short_tensor(model: Path) -> None:
    """As of a model whose layers are half as wide."""
    weights = load_file(model / WEIGHTS[1])
    name = "model.layers.3.mlp.down_proj.weight"
    save_file(weights | {name: weights[name][:64].contiguous()}, model / WEIGHTS[1])


CHECKPOINTS: dict[Callable[[Path], None], tuple[str, ...]] = {
    no_weights: ("Cannot find any model weights", "/no_weights"),
    missing_file: ("Weight files referenced in index but missing", WEIGHTS[1]),
    missing_tensor: ("it lacks 'model.layers.", WEIGHTS[1]),
    short_tensor: (
        "model.layers.3.mlp.down_proj.weight",
        f"short_tensor/{WEIGHTS[1]}",
        "(64, 256)",
    ),
}
"""What spoils a checkpoint of two files, and words that the error must have."""


@pytest.fixture(scope="module")
def logs(
    tiny_model: Path,
    device_model: Path,
    device_runs: EngineRuns,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, object]:
    """Logs of engines that cannot start, all in one process."""
    folder = tmp_path_factory.mktemp("checkpoints")
    models = {"float32": tiny_model}
    for spoil in CHECKPOINTS:
        models[spoil.__name__] = split(device_model, folder / spoil.__name__)
        spoil(models[spoil.__name__])
    runs = []
    for name, model in models.items():
        dtype = "float32" if name == "float32" else "bfloat16"
        options = engine_options(model, "eager", dtype=dtype)
        runs.append(EngineRun(f"refused, {name}", options, [Batch([[1]], 1)]))
    results = device_runs.results(runs)
    return {name: results[f"refused, {name}"] for name in models}


def split(model: Path, folder: Path) -> Path:
    """Copy a model, with its weights in two files and an index."""
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    weights = [*load_file(model / "model.safetensors").items()]
    middle = len(weights) // 2
    files = dict(zip(WEIGHTS, (dict(weights[:middle]), dict(weights[middle:])), strict=True))
    for file, content in files.items():
        save_file(content, folder / file)
    index = {"weight_map": {name: file for file, content in files.items() for name in content}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("spoil", CHECKPOINTS, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_checkpoint_is_refused_by_file_or_tensor(
    spoil: Callable[[Path], None], logs: dict[str, object]
) -> None:
    log = logs[spoil.__name__]
    assert isinstance(log, str)
    for word in CHECKPOINTS[spoil]:
        assert word in log.rpartition("Traceback")[2]


def test_a_type_that_the_attention_kernel_refuses_is_refused_at_start(
    logs: dict[str, object],
) -> None:
    log = logs["float32"]
    assert isinstance(log, str)
    for word in ("option --dtype = 'float32'", "`--dtype bfloat16`", "ascend-sim run --limits"):
        assert word in log


@pytest.mark.slow
def test_heads_that_the_attention_kernel_refuses_are_refused_at_start(
    tiny_model: Path, device_runs: EngineRuns
) -> None:
    options = engine_options(tiny_model, "eager", dtype="bfloat16")
    run = EngineRun("refused, bfloat16", options, [Batch([[1]], 1)])
    log = device_runs.results([run])[run.name]
    assert isinstance(log, str)
    for word in ("option --model = '4 heads of 32, 2 of keys", "head size must be"):
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


@pytest.mark.slow
def test_ranks_that_would_capture_unequal_graphs_are_refused(
    tiny_model: Path, vllm_environment: dict[str, str]
) -> None:
    """Given ranks that torchrun starts, each with options of its own."""
    options = [
        engine_options(
            tiny_model,
            "FULL_DECODE_ONLY",
            tensor_parallel_size=2,
            distributed_executor_backend="external_launcher",
            compilation_config={
                "cudagraph_mode": "FULL_DECODE_ONLY",
                "cudagraph_capture_sizes": sizes,
            },
        )
        for sizes in ([1, 2], [1, 2, 4])
    ]
    script = Path(support.__file__).with_name("launched_process.py")
    ranks = ("torchrun", "--nproc-per-node", "2", str(script), *map(json.dumps, options))
    devices = ("--devices", "2", *OFF_LIMITS)
    error = start(under_simulator(*ranks, options=devices), vllm_environment)
    assert "cudagraph_capture_sizes = [1, 2]: that is rank 0's; rank 1 has [1, 2, 4]" in error


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
