# SPDX-License-Identifier: Apache-2.0
"""Two processes share a model: both have the same, and err no more than transformers does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from models import make_config, make_model
from needs import needs_xlite
from reference import Texts, by_transformers

pytestmark = needs_xlite

PROGRAM = Path(__file__).with_name("tensor_parallel.py")


@pytest.mark.parametrize(
    ("family", "form", "collectives"),
    [
        ("llama", "device", "HCCL"),
        ("qwen2", "host", "XCCL"),
        ("qwen3", "device", "XCCL"),
        ("qwen3_moe", "device", "HCCL"),
    ],
)
def test_two_ranks(tmp_path, family, form, collectives):
    simulator = Path(sys.executable).with_name("ascend-sim")
    command = [simulator, "run", "--devices", "2", "--", sys.executable, PROGRAM]
    environment = os.environ | {"XLITE_DISABLE_XCCL": "1" if collectives == "HCCL" else "0"}

    shown = subprocess.run(
        [*command, family, form, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert shown.returncode == 0, shown.stdout + shown.stderr
    (hidden, logits), (others, other_logits) = (
        torch.load(tmp_path / f"{rank}.pt") for rank in range(2)
    )
    config = make_config(family)
    texts = Texts.random(config, prompts=(37, 5))
    exact_model = make_model(config, torch.float32)
    exact = torch.cat(by_transformers(exact_model, texts))
    rounded = torch.cat(by_transformers(make_model(config), texts))
    found = torch.cat(hidden)
    assert torch.equal(found, torch.cat(others))
    assert torch.equal(logits, other_logits)
    assert (found - exact).abs().mean() <= (rounded - exact).abs().mean()
    with torch.no_grad():
        wanted = exact_model.lm_head(hidden[0][-2:].flip(0))
    assert (logits.float() - wanted).abs().max() < 0.05
