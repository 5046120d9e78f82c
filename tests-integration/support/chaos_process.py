# SPDX-License-Identifier: Apache-2.0
"""The process that serves the same requests under many schedules; see `support.chaos`.

Reads a job, makes one engine, and gives the scheduler a new seed before each round of requests.
"""

import json
import sys
from collections import Counter

from vllm import LLM, SamplingParams


def main() -> None:
    """Print what the engine answers, one line per seed."""
    job = json.load(sys.stdin)
    # Not `support.simulated_worker`: of this process's folders, workers know this file's alone.
    engine = LLM(**job["options"], worker_extension_cls="simulated_worker.SimulatedWorker")
    sampling = SamplingParams(
        temperature=0, max_tokens=job["new_tokens"], ignore_eos=True, detokenize=False
    )
    prompts = [{"prompt_token_ids": prompt} for prompt in job["prompts"]]
    print("READY", flush=True)
    for seed in range(job["first"], job["first"] + job["seeds"]):
        engine.collective_rpc("reseed", args=(seed,))
        if seed % 2 == 0:  # with odd seeds, full blocks come from the cache
            engine.reset_prefix_cache()
        outputs = engine.generate(prompts, sampling, use_tqdm=False)
        tokens = [list(output.outputs[0].token_ids) for output in outputs]
        print("RESULT " + json.dumps({"seed": seed, "tokens": tokens}), flush=True)
    counters = Counter[str]()
    for of_rank in engine.collective_rpc("simulated_counters"):
        counters.update(of_rank)
    print("COUNTERS " + json.dumps(counters), flush=True)


if __name__ == "__main__":
    main()
