# SPDX-License-Identifier: Apache-2.0
"""A worker's life on a simulated NPU: device, weights, memory that is left for the cache."""

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from ascend_core import OptionError
from safetensors.torch import save_file
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.distributed import destroy_distributed_environment, destroy_model_parallel
from vllm.v1.worker.gpu_worker import Worker

from ascend_vllm_plugin.worker import NpuWorker

MakeConfig = Callable[..., VllmConfig]
MakeWorker = Callable[..., NpuWorker]

needs_xlite = pytest.mark.skipif(find_spec("xlite") is None, reason="xlite is not installed")


@pytest.fixture
def make_worker(make_config: MakeConfig, tmp_path: Path) -> Iterator[MakeWorker]:
    """Start a worker on the only device, with weights; it is shut down after the test."""
    workers = []

    def make(changes: dict[str, object] | None = None, **options: object) -> NpuWorker:
        defaults = {"dtype": "float32", "gpu_memory_utilization": 0.01}
        config = make_config(changes, **(defaults | options))
        meeting = f"file://{tmp_path / 'meeting'}"
        worker = NpuWorker(config, 0, 0, meeting, is_driver_worker=True)
        workers.append(worker)
        with set_current_vllm_config(config):
            worker.init_device()
            worker.load_model()
        return worker

    yield make
    for worker in workers:
        worker.shutdown()
    destroy_model_parallel()
    destroy_distributed_environment()


def test_graphs_are_taken_off_the_memory_for_the_cache(make_worker: MakeWorker) -> None:
    """Given graphs as large as the largest step, which need all of its activations once more."""
    sizes = {"cudagraph_capture_sizes": [4]}
    worker = make_worker(max_num_batched_tokens=4, max_model_len=4, compilation_config=sizes)
    with set_current_vllm_config(worker.vllm_config):
        available = worker.determine_available_memory()

    activations = worker.peak_activation_memory
    assert activations > 0
    assert available == worker.available_kv_cache_memory_bytes
    assert available + activations == Worker.determine_available_memory(worker)


def test_memory_that_the_user_set_is_left_alone(make_worker: MakeWorker) -> None:
    worker = make_worker(kv_cache_memory_bytes=1 << 20)
    with set_current_vllm_config(worker.vllm_config):
        assert worker.determine_available_memory() == 1 << 20


def test_a_stage_of_a_pipeline_fills_host_memory_only_after_the_device_has_copied_it(
    make_worker: MakeWorker,
) -> None:
    """Given a device that is busy, the second of two batches does not change the first."""
    worker = make_worker(enforce_eager=True, async_scheduling=False)
    worker.parallel_config.pipeline_parallel_size = 2
    runner = worker.make_model_runner()
    busy = torch.ones(512, 512, device=worker.device)
    for _ in range(20):
        busy = busy @ busy

    for token in (7, 8):
        with runner.synchronize_input_prep():
            seen = runner.input_ids.gpu.clone()
            runner.input_ids.np[:] = token
            runner.input_ids.copy_to_gpu()

    assert set(seen.tolist()) == {7}


@needs_xlite
@pytest.mark.parametrize("full_mode", [False, True])
def test_memory_of_xlite_is_taken_off_the_cache_once(
    full_mode: bool, make_worker: MakeWorker
) -> None:
    """Given xlite, its pool is gone before the measurement, and is no activation in it."""
    xlite = {"xlite_graph_config": {"enabled": True, "full_mode": full_mode}}
    worker = make_worker(
        {"head_dim": 64}, dtype="bfloat16", enforce_eager=True, additional_config=xlite
    )
    with set_current_vllm_config(worker.vllm_config):
        available = worker.determine_available_memory()

    pool = worker.graph_stats()["xlite_memory_bytes"]
    assert 0 < pool <= worker.total_consumed < 2 * pool
    taken = worker.total_consumed + worker.peak_activation_memory
    assert available == worker.requested_memory - taken


@needs_xlite
@pytest.mark.parametrize("full_mode", [False, True])
def test_in_full_mode_the_decoder_of_vllm_needs_no_activations(
    full_mode: bool, make_worker: MakeWorker
) -> None:
    """What the model returns is measured; its MLP, which is many times wider, is not."""
    width = 4096
    worker = make_worker(
        {"head_dim": 64, "intermediate_size": width},
        dtype="bfloat16",
        enforce_eager=True,
        additional_config={"xlite_graph_config": {"enabled": True, "full_mode": full_mode}},
    )
    with set_current_vllm_config(worker.vllm_config):
        worker.determine_available_memory()

    of_the_mlp = worker.scheduler_config.max_num_batched_tokens * width * 2
    assert (worker.peak_activation_memory > of_the_mlp) == (not full_mode)


def test_statistics_travel_as_plain_values(make_worker: MakeWorker) -> None:
    stats = make_worker(enforce_eager=True).graph_stats()

    assert json.loads(json.dumps(stats)) == stats
    assert stats["backend"] == "eager"
    assert stats["simulated"] is True
    assert stats["steps"] == stats["replays"] == 0


def test_a_tensor_that_does_not_fit_is_named_with_its_file(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    save_file({"model.norm.weight": torch.zeros(3)}, tmp_path / "model.safetensors")

    with pytest.raises(OptionError, match=r"'model.norm.weight' of shape \(3,\) does not fit"):
        make_worker(load_format="auto", enforce_eager=True)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: save_file({}, file), "it lacks 'lm_head.weight'"),
        (lambda file: file.write_bytes(b"version https://git-lfs"), "it cannot be read"),
    ],
)
def test_a_file_that_is_not_what_the_index_says_is_named(
    spoil: Callable[[Path], None], words: str, make_worker: MakeWorker, tmp_path: Path
) -> None:
    index = {"weight_map": {"lm_head.weight": "part.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    spoil(tmp_path / "part.safetensors")

    with pytest.raises(OptionError, match=f"part.safetensors': {words}"):
        make_worker(load_format="auto", enforce_eager=True)


def test_a_worker_that_did_not_start_can_be_shut_down(make_config: MakeConfig) -> None:
    NpuWorker(make_config(), 0, 0, "file:///nowhere", is_driver_worker=True).shutdown()
