# SPDX-License-Identifier: Apache-2.0
"""An error in any row of a family's table is caught: by a check, or by what the engine computes."""

import dataclasses

import pytest
import torch
from driver import open_model
from models import FAMILIES, make_config, make_model
from needs import needs_xlite
from reference import Texts, by_transformers, by_xlite

from ascend_xlite_bridge import XliteWeightError
from ascend_xlite_bridge._decoder.families import FAMILIES as TABLES

pytestmark = needs_xlite

ROWS = [
    (family, row.field)
    for family in ("qwen2", "qwen3", "qwen3_moe")  # they have every row that there is
    for row in TABLES[FAMILIES[family][1]].rows
    if family == "qwen2" or "norm" in row.field or row.field in ("gate", "re_up_gate", "re_down")
]
PARTNERS = {
    "embed": "head",
    "norm": "norm",  # the only one of its kind: it is taken from the last layer
    "attn_norm": "mlp_norm",
    "mlp_norm": "attn_norm",
    "mha_q_norm": "mha_k_norm",
    "mha_k_norm": "mha_q_norm",
}
"""Rows of the same shape, which no check can tell apart."""


def planted(rows, field):
    """The table with one wrong row: it points at another tensor, or at its own in another order."""
    by_field = {row.field: row for row in rows}
    row = by_field[field]
    match field:
        case "norm":
            paths = ("layers.0.input_layernorm.weight",)
        case "head":
            paths = ("embed_tokens.weight",)
        case _ if field in PARTNERS:
            paths = by_field[PARTNERS[field]].unfused
        case "mha_qkv" | "mha_qkv_bias" | "mlp_up_gate":
            paths = row.unfused[::-1]
        case "re_up_gate":
            return tuple(
                dataclasses.replace(r, unfused=("mlp.experts.down_proj",)) if r is row else r
                for r in rows
            )
        case _:
            paths = ("self_attn.q_proj.weight",)
    wrong = dataclasses.replace(row, unfused=paths, fused=paths)
    return tuple(wrong if each is row else each for each in rows)


@pytest.fixture(scope="module")
def known():
    """Config, model, texts, exact hidden states and the mean error that is expected, by family."""
    made = {}

    def of(family):
        if family not in made:
            config = make_config(family, tie_word_embeddings=False)
            texts = Texts.random(config, prompts=(9,))
            exact = by_transformers(make_model(config, torch.float32), texts)
            rounded = by_transformers(make_model(config), texts)
            error = (rounded[0] - exact[0]).abs().mean().item()
            made[family] = config, make_model(config), texts, exact, error
        return made[family]

    return of


@pytest.mark.parametrize(("family", "field"), ROWS, ids=[f"{f}-{field}" for f, field in ROWS])
def test_a_wrong_row_is_caught(monkeypatch, known, family, field):
    config, module, texts, exact, error = known(family)
    architecture = FAMILIES[family][1]
    right = TABLES[architecture]
    wrong = dataclasses.replace(right, rows=planted(right.rows, field))
    monkeypatch.setitem(TABLES, architecture, wrong)

    try:
        with open_model(module, config) as model:
            (found,) = by_xlite(model, texts, "host")
            if field == "head":  # hidden states do not depend on it
                logits = model.logits(found[-1:].to(torch.bfloat16).to(model.device), zero(model))
                found = logits.cpu().float()
                exact = [(exact[0][-1:] @ module.lm_head.weight.float().T)]
                error = 0.02
    except XliteWeightError:
        return

    assert (found - exact[0]).abs().mean().item() > 3 * error


def zero(model):
    return torch.zeros(1, dtype=torch.int64, device=model.device)
