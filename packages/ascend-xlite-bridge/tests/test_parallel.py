# SPDX-License-Identifier: Apache-2.0
"""Two processes share a model, or its experts, and err no more than transformers does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from models import make_config, make_model
from needs import needs_xlite
from parallel import OTHER_PROMPTS, PROMPTS
from reference import Texts, by_transformers

from ascend_xlite_bridge import XliteDecoder, XliteRanks, XliteRun, XliteStepError
from ascend_xlite_bridge._step import padded_tokens

pytestmark = needs_xlite

PROGRAM = Path(__file__).with_name("parallel.py")


def run_ranks(folder, family, form, kind, collectives, **variables):
    """Hidden states and logits of each of two ranks."""
    simulator = Path(sys.executable).with_name("ascend-sim")
    command = [simulator, "run", "--devices", "2", "--", sys.executable, PROGRAM]
    environment = os.environ | {
        "XLITE_DISABLE_XCCL": "1" if collectives == "HCCL" else "0",
        "XLITE_PORT": str(20000 + os.getpid() % 10000),  # another run may have the engine's own
    }

    shown = subprocess.run(
        [*command, family, form, folder, kind],
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert shown.returncode == 0, shown.stdout + shown.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def check_numbers(family, prompts, hidden, logits):
    """Compare with float32, and with what transformers loses in bfloat16."""
    config = make_config(family)
    texts = Texts.random(config, prompts=prompts)
    exact_model = make_model(config, torch.float32)
    exact = torch.cat(by_transformers(exact_model, texts))
    rounded = torch.cat(by_transformers(make_model(config), texts))
    found = torch.cat(hidden)
    assert (found - exact).abs().mean() <= (rounded - exact).abs().mean()
    with torch.no_grad():
        wanted = exact_model.lm_head(hidden[0][-len(prompts) :].flip(0))
    assert (logits.float() - wanted).abs().max() < 0.05


@pytest.mark.parametrize(
    ("family", "form", "collectives", "shortest_sharded"),
    [
        ("llama", "device", "HCCL", None),
        ("qwen2", "host", "XCCL", None),
        ("qwen3", "device", "XCCL", None),
        ("qwen3", "host", "XCCL", "1"),  # reduce_scatter and allgather, from one token on
        ("qwen3_moe", "device", "HCCL", None),
    ],
)
def test_two_ranks_share_each_layer(tmp_path, family, form, collectives, shortest_sharded):
    variables = {} if shortest_sharded is None else {"XLITE_COMM_OPTIMIZE_LEN": shortest_sharded}

    (hidden, logits), (others, other_logits) = run_ranks(
        tmp_path, family, form, "tensor", collectives, **variables
    )

    assert all(map(torch.equal, hidden, others))
    assert torch.equal(logits, other_logits)
    check_numbers(family, PROMPTS, hidden, logits)


@pytest.mark.parametrize(
    ("form", "kind", "collectives"),
    [("device", "whole experts", "XCCL"), ("host", "parts of experts", "HCCL")],
)
def test_two_ranks_with_texts_of_their_own_share_experts(tmp_path, form, kind, collectives):
    one, other = run_ranks(tmp_path, "qwen3_moe", form, kind, collectives)

    check_numbers("qwen3_moe", PROMPTS, *one)
    check_numbers("qwen3_moe", OTHER_PROMPTS, *other)


SHARED = XliteRanks(dp_size=2)


@pytest.mark.parametrize(
    ("family", "ranks", "group_tokens", "expected"),
    [
        ("qwen3_moe", SHARED, 7, 7),
        ("qwen3_moe", SHARED, 5, 5),
        ("qwen3_moe", XliteRanks(), None, 5),
        ("llama", SHARED, None, 5),
        ("qwen3_moe", SHARED, None, "expected a number"),
        ("qwen3_moe", SHARED, 4, "expected 5"),
        ("qwen3_moe", SHARED, 65, "to 64"),
        ("qwen3_moe", XliteRanks(), 7, "expected None"),
        ("llama", SHARED, 7, "expected None"),
    ],
)
def test_ranks_that_share_experts_agree_on_a_number_of_tokens(
    family, ranks, group_tokens, expected
):
    decoder = XliteDecoder.from_config(make_config(family), torch.bfloat16)
    run = XliteRun(max_tokens=64, max_requests=4, max_seq_len=512, ranks=ranks)

    if isinstance(expected, int):
        assert padded_tokens(5, group_tokens, decoder, run) == expected
        return
    with pytest.raises(XliteStepError, match=expected):
        padded_tokens(5, group_tokens, decoder, run)
