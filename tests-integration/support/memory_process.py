# SPDX-License-Identifier: Apache-2.0
"""The process that makes engines and deletes them; see `test_memory`.

Reads a job, prints what is in use on the device after each engine.
"""

import gc
import json
import sys
from typing import Any

import ascend_sim
import torch
from vllm import LLM, SamplingParams


def use_engine(options: dict[str, Any]) -> list[int]:
    """Make an engine, ask it for some tokens, and leave it to be deleted."""
    engine = LLM(**options)
    sampling = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True, detokenize=False)
    prompt = {"prompt_token_ids": [1, 2, 3]}
    return list(engine.generate([prompt], sampling, use_tqdm=False)[0].outputs[0].token_ids)


def in_use() -> dict[str, int]:
    """Bytes of tensors, and what the process takes of the device by the simulator's ledger."""
    torch.npu.synchronize()
    used = dict(ascend_sim.ledger().processes[0].used[0])
    del used["hbm_bytes"]  # the allocator's cache is in it, which differs by some hundred bytes
    return {"allocated": torch.npu.memory_allocated(), **used}


def main() -> None:
    """Print tokens and what is in use, one line per engine."""
    job = json.load(sys.stdin)
    for _ in range(job["engines"]):
        tokens = use_engine(job["options"])
        gc.collect()
        print("RESULT " + json.dumps({"tokens": tokens, "in_use": in_use()}), flush=True)


if __name__ == "__main__":
    main()
