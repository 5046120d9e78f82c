# SPDX-License-Identifier: Apache-2.0
"""The process that runs engines; see `support.engine`. Reads a job, prints a line per result."""

import gc
import json
import sys
import traceback
from dataclasses import replace
from typing import Any

import ascend_sim
import torch
from PIL import Image
from vllm import LLM, SamplingParams
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.model_executor.models import registry

_STEPS_BEFORE_ABORT = 4  # prompts are cut into pieces of 64 tokens: some decode, some do not yet


def keep_captured_lengths() -> None:
    """Let replays repeat the attention lengths of the capture, as if there was no update."""
    from ascend_vllm_plugin import graph_wrapper

    graph_wrapper._lengths = lambda context: None


def use_up_memory_in_large_captures() -> None:
    """Let the device have no more memory while graphs of more than 8 tokens are captured."""
    from ascend_aclgraph import GraphCache

    capture = GraphCache.capture

    def with_no_memory(self: Any, descriptor: Any, function: Any, **options: Any) -> Any:
        def allocating() -> Any:
            ones = torch.ones(1 << 21, device="npu")  # more than a cached block holds
            return ones, function()

        if descriptor.num_tokens <= 8:
            return capture(self, descriptor, function, **options)
        with ascend_sim.inject("fail:malloc,from=1"):
            return capture(self, descriptor, allocating, **options)

    GraphCache.capture = with_no_memory


def shift_experts() -> None:
    """Send every token to the experts after those that it chose."""
    from ascend_vllm_plugin.ops import _experts

    apply = _experts.apply_experts

    def shifted(x: Any, gate_up: Any, down: Any, weights: Any, experts: Any, **options: Any) -> Any:
        return apply(x, gate_up, down, weights, (experts + 1) % len(gate_up), **options)

    _experts.apply_experts = shifted


def swap_rotated_pairs() -> None:
    """Put the elements of what is rotated by position into the cache in another order."""
    from ascend_vllm_plugin.attention.latent import NpuLatentImpl

    update = NpuLatentImpl.do_kv_cache_update

    def swapped(self: Any, latent: Any, rotated: Any, *arguments: Any) -> None:
        update(self, latent, rotated.flip(-1), *arguments)

    NpuLatentImpl.do_kv_cache_update = swapped


def make_few_keys_at_once() -> None:
    """Let long prompts attend to their keys in spans of two cache blocks."""
    from ascend_ops import BLOCK_SIZE, LatentShape

    LatentShape.most_keys = lambda _self, _elements: 2 * BLOCK_SIZE


def weigh_spans_alike() -> None:
    """Take the mean of attention to two spans, whatever the log-sum-exp of their scores."""
    from ascend_ops import _latent_attention

    make_few_keys_at_once()
    _latent_attention.merge_attention = lambda parts: (
        sum(result for result, _ in parts) / len(parts),
        parts[0][1],
    )


def keep_captured_block_tables() -> None:
    """Let graphs read the block tables that layers with a window had in the capture."""
    from vllm.v1.kv_cache_interface import SlidingWindowSpec

    detach_block_tables(SlidingWindowSpec)


def detach_block_tables(of: type | None = None) -> None:
    """Let graphs read the block tables of the capture, in all layers or of one kind of cache."""
    from ascend_vllm_plugin.attention import NpuAttentionMetadataBuilder

    build = NpuAttentionMetadataBuilder.build

    def with_a_table_of_its_own(self: Any, *arguments: Any, **options: Any) -> Any:
        metadata = build(self, *arguments, **options)
        if of and not isinstance(self.kv_cache_spec, of):
            return metadata
        return replace(metadata, block_table=metadata.block_table.clone())

    NpuAttentionMetadataBuilder.build = with_a_table_of_its_own


def run_engine(run: dict[str, Any]) -> dict[str, Any]:
    """Run one engine and describe what it did."""
    if run["sabotage"]:
        globals()[run["sabotage"]]()
    # Not `support.simulated_worker`: of this process's folders, workers know this file's alone.
    engine = LLM(**run["options"], worker_extension_cls="simulated_worker.SimulatedWorker")
    tokens, logits = [], []
    stats, counts = [_stats(engine)], [_counts(engine)]
    for batch in run["batches"]:
        if batch["aborted"]:
            tokens.append(_generate_and_abort(engine, batch))
            logits.append([])
        else:
            outputs = _generate(engine, batch)
            tokens.append([list(output.token_ids) for output in outputs])
            logits.append([_first_logits(each) for each in outputs] if batch["raw_logits"] else [])
        stats.append(_stats(engine))
        counts.append(_counts(engine))
    engine.llm_engine.engine_core.shutdown()
    return {
        "name": run["name"],
        "tokens": tokens,
        "logits": logits,
        "stats": stats,
        "executions": [each["executions"] for each in counts],
        "operations": [each["operations"] for each in counts],
        "streams": [each["streams"] for each in counts],
    }


def _generate(engine: LLM, batch: dict[str, Any]) -> list[Any]:
    sampling = SamplingParams(
        temperature=0,
        max_tokens=batch["new_tokens"],
        ignore_eos=True,
        detokenize=False,
        logprobs=-1 if batch["raw_logits"] else None,
    )
    prompts: list[dict[str, Any]] = [{"prompt_token_ids": prompt} for prompt in batch["prompts"]]
    for prompt, image in zip(prompts, batch["images"], strict=False):
        if image:
            prompt["multi_modal_data"] = {"image": Image.open(image)}
    return [request.outputs[0] for request in engine.generate(prompts, sampling, use_tqdm=False)]


def _generate_and_abort(engine: LLM, batch: dict[str, Any]) -> list[list[int]]:
    """Abort some of the requests while they are computed; tokens of the others."""
    core = engine.llm_engine
    sampling = SamplingParams(temperature=0, max_tokens=batch["new_tokens"], ignore_eos=True)
    for number, prompt in enumerate(batch["prompts"]):
        core.add_request(str(number), {"prompt_token_ids": prompt}, sampling)
    tokens: list[list[int]] = [[] for _ in batch["prompts"]]
    steps = 0
    while core.has_unfinished_requests():
        for output in core.step():
            if output.finished:
                tokens[int(output.request_id)] = list(output.outputs[0].token_ids)
        steps += 1
        if steps == _STEPS_BEFORE_ABORT:
            core.abort_request([str(number) for number in batch["aborted"]])
    return tokens


def _first_logits(output: Any) -> list[float]:
    by_token = output.logprobs[0]
    return [by_token[token].logprob for token in range(len(by_token))]


def _stats(engine: LLM) -> dict[str, Any]:
    return dict(engine.collective_rpc("graph_stats")[0])


def _counts(engine: LLM) -> dict[str, Any]:
    """Graph executions of the first rank, its operations by name, and the streams it could take."""
    executions = engine.collective_rpc("simulated_counters")[0]["graph_executions"]
    return {
        "executions": int(executions),
        "operations": engine.collective_rpc("simulated_operations")[0],
        "streams": engine.collective_rpc("streams_available")[0],
    }


def main() -> None:
    """Run the engines of the job on standard input; one that fails does not keep the others."""
    # Else vLLM looks at each class of models in a process of its own, whose start takes longer.
    registry._run_in_subprocess = lambda function: function()
    for run in json.load(sys.stdin):
        try:
            print("RESULT " + json.dumps(run_engine(run)), flush=True)
        except Exception:
            failure = {"name": run["name"], "error": traceback.format_exc()}
            print("FAILURE " + json.dumps(failure), flush=True)
        gc.collect()
        cleanup_dist_env_and_memory()


if __name__ == "__main__":
    main()
