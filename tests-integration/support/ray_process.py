# SPDX-License-Identifier: Apache-2.0
"""The process that shares a Ray cluster with another program; see `test_ray`.

Reads a job, prints the tokens of its prompts.
"""

import json
import os
import sys
from typing import Any

import ray
from vllm import LLM, SamplingParams


@ray.remote(resources={"NPU": 1})
class OtherProgram:
    """Has a device, and leaves no room on it."""

    def fill_device(self) -> list[str]:
        """Take its memory; numbers of the devices that Ray gave."""
        import torch

        free, _ = torch.npu.mem_get_info()
        self.taken = torch.empty(int(0.99 * free), dtype=torch.uint8, device="npu")
        return ray.get_runtime_context().get_accelerator_ids()["NPU"]


def tokens_of(job: dict[str, Any]) -> list[list[int]]:
    """Tokens per prompt, of an engine that is made while the other program runs."""
    other = OtherProgram.remote()
    assert ray.get(other.fill_device.remote()) == ["0"]
    # What an engine's own environment says is of no account: Ray chooses.
    os.environ["ASCEND_RT_VISIBLE_DEVICES"] = "0,1"
    engine = LLM(**job["options"])
    sampling = SamplingParams(
        temperature=0, max_tokens=job["new_tokens"], ignore_eos=True, detokenize=False
    )
    prompts = [{"prompt_token_ids": prompt} for prompt in job["prompts"]]
    answers = engine.generate(prompts, sampling, use_tqdm=False)
    return [list(answer.outputs[0].token_ids) for answer in answers]


if __name__ == "__main__":
    given = json.load(sys.stdin)
    ray.init()
    # Else the engine's process, which is another one, starts a cluster of its own.
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    print("RESULT " + json.dumps(tokens_of(given)), flush=True)
