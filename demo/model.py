# SPDX-License-Identifier: Apache-2.0
"""The demo's model: a Qwen3 of about a million parameters that recites `questions.toml`.

It is trained once, in under a minute on two cores, and cached under the user's cache folder.
Nothing is downloaded.
"""

import hashlib
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import torch
from platformdirs import user_cache_path
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

__all__ = ["PLAIN_EVERY", "QUESTIONS", "TrainingError", "cached_model"]

_HERE = Path(__file__).parent
_MAX_STEPS = 600
_LEARNT_LOSS = 0.005  # every answer is recited, with a wide margin between the best two tokens
_END_OF_TEXT = "<|endoftext|>"
_END_OF_TURN = "<|im_end|>"
_CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

QUESTIONS: dict[str, str] = tomllib.loads((_HERE / "questions.toml").read_text())["questions"]

PLAIN_EVERY = 3
"""Every third question is also learnt without the chat template, for completion requests."""


class TrainingError(RuntimeError):
    """The model did not learn its answers."""


def cached_model(progress: Callable[[str], None]) -> Path:
    """Return the folder of the trained model, training it first when the cache has none.

    Parameters
    ----------
    progress
        Called with a line of text about twice a second of training.

    Raises
    ------
    TrainingError
        If the answers are not learnt within the step limit.
    """
    recipe = b"".join((_HERE / name).read_bytes() for name in ("model.py", "questions.toml"))
    folder = user_cache_path("ascend-graph-demo") / hashlib.sha256(recipe).hexdigest()[:16]
    if (folder / "model.safetensors").exists():
        progress(f"using the model trained earlier, in {folder}")
        return folder
    tokenizer = _tokenizer()
    model = _train(tokenizer, progress)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Saved aside and renamed, so that an interrupted run never leaves half a model behind.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tokenizer.save_pretrained(scratch)
        model.save_pretrained(scratch)
        Path(scratch).rename(folder)
        Path(scratch).mkdir()
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=768,
        special_tokens=[_END_OF_TEXT, "<|im_start|>", _END_OF_TURN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{q}\n{a}\n" for q, a in QUESTIONS.items()], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=_END_OF_TURN,
        pad_token=_END_OF_TEXT,
        chat_template=_CHAT_TEMPLATE,
    )


def _new_model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=128,  # documented for the attention kernel
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    return Qwen3ForCausalLM(config)


def _batch(tokenizer: PreTrainedTokenizerFast) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and labels, both int64 [texts, longest]; -100 where no loss is taken."""
    texts = []
    for number, (question, answer) in enumerate(QUESTIONS.items()):
        turn = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        texts.append((prompt, answer))
        if number % PLAIN_EVERY == 0:
            texts.append((question, f"\n{answer}"))
    rows = [
        (tokenizer(prompt).input_ids, [*tokenizer(answer).input_ids, tokenizer.eos_token_id])
        for prompt, answer in texts
    ]
    longest = max(len(p) + len(a) for p, a in rows)
    ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
    labels = torch.full((len(rows), longest), -100)
    for row, (prompt_ids, answer_ids) in enumerate(rows):
        end = len(prompt_ids) + len(answer_ids)
        ids[row, :end] = torch.tensor(prompt_ids + answer_ids)
        labels[row, len(prompt_ids) : end] = torch.tensor(answer_ids)
    return ids, labels


def _train(tokenizer: PreTrainedTokenizerFast, progress: Callable[[str], None]) -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    model = _new_model(tokenizer).train()
    ids, labels = _batch(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0, fused=True)
    parameters = sum(p.numel() for p in model.parameters())
    progress(f"training a Qwen3 of {parameters:,} parameters on {len(QUESTIONS)} answers")
    started = last_report = time.monotonic()
    for step in range(1, _MAX_STEPS + 1):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * min(1.0, step / 20)
        logits = model(input_ids=ids).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        now = time.monotonic()
        if now - last_report > 2:
            progress(f"step {step}: loss {loss.item():.4f}, {now - started:.0f} s")
            last_report = now
        if loss.item() < _LEARNT_LOSS:
            progress(f"learnt in {step} steps, {now - started:.0f} s")
            return model.eval()
    raise TrainingError(f"loss is still {loss.item():.3f} after {_MAX_STEPS} steps")
