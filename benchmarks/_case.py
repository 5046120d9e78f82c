# SPDX-License-Identifier: Apache-2.0
"""One decode workload on one random model, and processes to run it in.

In fp32 unless said, so that tokens can be compared, and so without the limits of a device
(`--limits off`).
The simulator and torch's threads are configured once per process, so every case gets a process.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Case", "ChildError", "Kind", "child_main"]

Kind = Literal["dense", "experts", "latents"]
"""A Qwen3; with a mixture of experts (Qwen3-MoE); with latent attention, too (DeepSeek-V3)."""

_HERE = Path(__file__).parent
_VOCABULARY = 1024


class ChildError(RuntimeError):
    """The process of a case failed; the message ends with the end of its output."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is run: `batch` requests of equal length decode greedily, in some rounds."""

    layers: int
    hidden: int
    kind: Kind = "dense"
    mode: str = "eager"
    """A cudagraph mode of vLLM, ``eager`` for ``enforce_eager``, or ``xlite`` for its full mode."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    head: int | None = None
    """Size of a head; None for 64, or 16 in a small model."""
    context: int = 512
    """Tokens that a request may have, which the block tables have room for."""
    compute: Literal["on", "off"] = "on"
    """Whether the simulator runs kernels."""
    batch: int = 8
    sizes: tuple[int, ...] = (8,)
    """Batch sizes to capture."""
    steps: int = 64
    """Decode steps of a round."""
    rounds: int = 3
    threads: int = 1
    """Threads of each of torch's parallel regions."""

    @property
    def prompts(self) -> list[list[int]]:
        """Token ids, ``[batch][16]``."""
        return [
            [1 + (17 * i + j) % (_VOCABULARY - 1) for j in range(16)] for i in range(self.batch)
        ]

    def write_model(self, folder: Path) -> None:
        """Write a model with weights from a seed, and no tokenizer."""
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        torch.manual_seed(0)
        head = self.head or (64 if self.hidden >= 256 else 16)
        heads = max(self.hidden // head, 2)
        kind, shape = self._kind(head, heads)
        config = AutoConfig.for_model(
            kind,
            **shape,
            vocab_size=_VOCABULARY,
            hidden_size=self.hidden,
            intermediate_size=3 * self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=heads,
            max_position_embeddings=self.context,
            initializer_range=self.hidden**-0.5,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=0,
            dtype=self.dtype,
        )
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)

    def _kind(self, head: int, heads: int) -> tuple[str, dict[str, Any]]:
        """Type of the model in transformers, and the fields that only its kind has."""
        grouped = {"num_key_value_heads": heads // 2, "head_dim": head}
        experts = {"num_experts_per_tok": 4, "moe_intermediate_size": self.hidden}
        latents = {
            "num_key_value_heads": heads,
            "q_lora_rank": None,
            "kv_lora_rank": 4 * head,
            "qk_nope_head_dim": head,
            "qk_rope_head_dim": head,
            "v_head_dim": head,
            "n_routed_experts": 16,
            "first_k_dense_replace": 0,  # so that all layers are alike
            "topk_method": "noaux_tc",  # vLLM has the bias of the choice with it only
            "n_group": 4,
            "topk_group": 2,
        }
        match self.kind:
            case "experts":
                return "qwen3_moe", grouped | experts | {"num_experts": 16}
            case "latents":
                return "deepseek_v3", latents | experts
        return "qwen3", grouped

    def run(self, script: str) -> dict[str, Any]:
        """Run a script of this folder on the case and return its result.

        Raises
        ------
        ChildError
            If it fails.
        """
        with tempfile.TemporaryDirectory(prefix="ascend-bench-") as folder:
            arguments = [sys.executable, str(_HERE / script), json.dumps(asdict(self)), folder]
            environment = os.environ | {
                "HF_HUB_OFFLINE": "1",
                "OMP_NUM_THREADS": str(self.threads),
                "VLLM_CACHE_ROOT": str(Path(folder, "cache")),
                "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
                "VLLM_NO_USAGE_STATS": "1",
            }
            done = subprocess.run(
                arguments,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            result = Path(folder, "result.json")
            if not result.exists():
                raise ChildError(f"{script} failed with {done.returncode}:\n{done.stdout[-4000:]}")
            return json.loads(result.read_text())


def child_main(measure: Callable[[Case, Path], dict[str, Any]]) -> None:
    """Be the process that :meth:`Case.run` starts: measure the case and leave the result."""
    import ascend_sim

    case, folder = Case(**json.loads(sys.argv[1])), Path(sys.argv[2])
    ascend_sim.activate(ascend_sim.SimConfig(compute=case.compute, limits="off"))
    case.write_model(folder / "model")
    result = measure(case, folder / "model")
    (folder / "result.json").write_text(json.dumps(result))
