# SPDX-License-Identifier: Apache-2.0
"""Continue two texts with a model of transformers on xlite, and compare with transformers itself.

The model is small and its weights are random: no checkpoint is needed. Start it with an NPU, or
without one:

    ascend-sim run -- python examples/generate.py
"""

import argparse

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from ascend_xlite_bridge import HostStep, XliteModel, XliteRun

BLOCK = 128


def make_model() -> tuple[Qwen3Config, Qwen3ForCausalLM]:
    config = Qwen3Config(
        vocab_size=512,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        initializer_range=0.12,  # so that the likeliest token is clearly so
    )
    config.architectures = ["Qwen3ForCausalLM"]
    torch.manual_seed(1)
    return config, Qwen3ForCausalLM(config).to(torch.bfloat16).eval()


def continue_texts(model: XliteModel, prompts: list[list[int]], count: int) -> list[list[int]]:
    """Prefill all prompts in one step, then decode all texts together."""
    texts = [list(prompt) for prompt in prompts]
    cached = [0] * len(texts)
    tables = [[index] for index in range(len(texts))]  # a block is enough for each
    for _ in range(count):
        new = [text[start:] for text, start in zip(texts, cached, strict=True)]
        lens = [len(tokens) for tokens in new]
        positions = [torch.arange(c, c + n) for c, n in zip(cached, lens, strict=True)]
        step = HostStep(
            lens=lens,
            cached_lens=cached,
            block_tables=tables,
            positions=torch.cat(positions).to(model.device),
        )
        tokens = [token for each in new for token in each]
        ids = torch.tensor(tokens, dtype=torch.int32, device=model.device)
        hidden = model.forward(step, input_ids=ids)
        last = torch.tensor(lens, device=model.device).cumsum(0) - 1
        for text, token in zip(texts, model.logits(hidden, last).argmax(-1).tolist(), strict=True):
            text.append(token)
        cached = [c + n for c, n in zip(cached, lens, strict=True)]
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Continue texts with xlite.")
    parser.add_argument("--tokens", type=int, default=8, help="how many to add to each text")
    count = parser.parse_args().tokens

    config, module = make_model()
    prompts = [[11, 42, 7], [5, 4, 3, 2, 1, 300]]
    run = XliteRun(max_tokens=16, max_requests=2, max_seq_len=BLOCK, block_size=BLOCK)
    device = torch.device("npu:0")
    with XliteModel.create(module, config, run, device=device) as model:
        size = (2, BLOCK, config.num_key_value_heads, config.head_dim)
        model.bind_kv_cache(
            [
                tuple(torch.zeros(size, dtype=torch.bfloat16, device=device) for _ in "kv")
                for _ in range(config.num_hidden_layers)
            ]
        )
        found = continue_texts(model, prompts, count)
    for prompt, tokens in zip(prompts, found, strict=True):
        ids = torch.tensor([prompt])
        expected = module.generate(ids, max_new_tokens=count, do_sample=False)[0, len(prompt) :]
        verdict = "the same as transformers" if tokens == expected.tolist() else "not the same"
        print(f"{prompt} -> {tokens}: {verdict}")


if __name__ == "__main__":
    main()
