# SPDX-License-Identifier: Apache-2.0
"""Configurations as vLLM builds them, from a model of one small layer; and its log."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vllm.config import VllmConfig
from vllm.engine.arg_utils import EngineArgs

MODEL = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 64,
    "max_position_embeddings": 512,
    "torch_dtype": "float32",
}


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., VllmConfig]:
    """Build the configuration of an engine from its options; `changes` are those of the model."""

    def make(changes: dict[str, Any] | None = None, **options: Any) -> VllmConfig:
        (tmp_path / "config.json").write_text(json.dumps(MODEL | (changes or {})))
        defaults = {"load_format": "dummy", "skip_tokenizer_init": True, "max_num_seqs": 4}
        arguments = EngineArgs(model=str(tmp_path), **(defaults | options))
        return arguments.create_engine_config()

    return make


@pytest.fixture
def vllm_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """Catch what vLLM's loggers get, which do not pass it on otherwise."""
    monkeypatch.setattr(logging.getLogger("vllm"), "propagate", True)
    return caplog
