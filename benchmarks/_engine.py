# SPDX-License-Identifier: Apache-2.0
"""A case through vLLM, the plugin, torch_npu and the simulator; run as a program."""

import itertools
import statistics
from pathlib import Path
from typing import Any

from _case import Case, child_main

__all__ = ["make_llm"]

_UNSTEADY = 8  # first forwards of a round: prefill, then memory and caches settle


def make_llm(case: Case, model: Path, worker_extension_cls: str = "") -> Any:
    """Start vLLM on a case, in this process, with more methods for its worker if asked for."""
    from vllm import LLM

    if case.mode == "eager":
        graphs: dict[str, Any] = {"enforce_eager": True}
    elif case.mode == "xlite":
        xlite = {"enabled": True, "full_mode": True}
        graphs = {"additional_config": {"xlite_graph_config": xlite}}
    else:
        sizes = list(case.sizes)
        graphs = {
            "compilation_config": {"cudagraph_mode": case.mode, "cudagraph_capture_sizes": sizes}
        }
    return LLM(
        model=str(model),
        skip_tokenizer_init=True,
        dtype=case.dtype,
        max_model_len=case.context,
        max_num_seqs=case.batch,
        max_num_batched_tokens=max(512, 16 * case.batch),
        gpu_memory_utilization=0.5,
        enable_prefix_caching=False,
        worker_extension_cls=worker_extension_cls,
        **graphs,
    )


def measure(case: Case, model: Path) -> dict[str, Any]:
    """Return medians over the decode steps of all rounds, in milliseconds, and more.

    Returns
    -------
    dict
        ``step_ms``: from the beginning of one forward of the model to that of the next.
        ``step_cpu_ms``: processor time of all threads in it.
        ``forward_ms``: host time of one forward. ``forward_cpu_ms``: the part of it that the
        calling thread spent on a processor. ``engine_ms``, ``engine_cpu_ms``: the same of xlite's
        own call in it; 0 without. ``tokens``: what was generated, ``[batch][steps + 1]``.
        ``stats``: what ``graph_stats`` of the plugin's worker said at the end.
    """
    from vllm import SamplingParams

    llm = make_llm(case, model, worker_extension_cls="_forward_timer.ForwardTimer")
    prompts = [{"prompt_token_ids": prompt} for prompt in case.prompts]
    greedy = SamplingParams(
        temperature=0, max_tokens=case.steps + 1, ignore_eos=True, detokenize=False
    )
    llm.collective_rpc("start_forward_timer")
    steady, steps, steps_cpu = [], [], []
    for _ in range(case.rounds):
        outputs = llm.generate(prompts, greedy, use_tqdm=False)
        forwards = llm.collective_rpc("take_forwards")[0][_UNSTEADY:]
        pairs = list(itertools.pairwise(forwards))
        steps += [after.begin - before.begin for before, after in pairs]
        steps_cpu += [after.process_cpu - before.process_cpu for before, after in pairs]
        steady += forwards
    return {
        "step_ms": 1e3 * statistics.median(steps),
        "step_cpu_ms": 1e3 * statistics.median(steps_cpu),
        "forward_ms": 1e3 * statistics.median(forward.wall for forward in steady),
        "forward_cpu_ms": 1e3 * statistics.median(forward.cpu for forward in steady),
        "engine_ms": 1e3 * statistics.median(forward.engine for forward in steady),
        "engine_cpu_ms": 1e3 * statistics.median(forward.engine_cpu for forward in steady),
        "tokens": [list(output.outputs[0].token_ids) for output in outputs],
        "stats": llm.collective_rpc("graph_stats")[0],
    }


if __name__ == "__main__":
    child_main(measure)
