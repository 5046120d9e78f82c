# SPDX-License-Identifier: Apache-2.0
"""Against float32, xlite errs no more than transformers does in bfloat16."""

import pytest
import torch
from driver import Requests, open_model
from fused import fuse
from models import FAMILIES, make_config, make_model
from needs import needs_xlite
from reference import Texts, by_transformers, by_xlite

pytestmark = needs_xlite

FORMS = [(family, form) for family in FAMILIES for form in ("host", "device")]


def mean_error(found, expected):
    return torch.cat([(a - b).abs() for a, b in zip(found, expected, strict=True)]).mean().item()


@pytest.fixture(scope="module")
def expected():
    """Texts of a family, their hidden states, and the mean error of transformers in bfloat16."""
    known = {}

    def of(family):
        if family not in known:
            config = make_config(family)
            texts = Texts.random(config)
            exact = by_transformers(make_model(config, torch.float32), texts)
            rounded = by_transformers(make_model(config), texts)
            known[family] = config, texts, exact, mean_error(rounded, exact)
        return known[family]

    return of


@pytest.mark.parametrize(
    ("family", "form"), [(f, form) for f, form in FORMS if "vl" not in f or form == "host"]
)
def test_hidden_states(expected, family, form, record_property):
    config, texts, exact, rounded_error = expected(family)

    with open_model(make_model(config), config) as model:
        found = by_xlite(model, texts, form)

    error = mean_error(found, exact)
    record_property("errors", (family, form, error, rounded_error))
    assert error <= rounded_error


@pytest.mark.parametrize("family", FAMILIES)
def test_the_modules_of_vllm_give_the_same_to_the_bit(expected, family):
    config, texts, _, _ = expected(family)
    model = make_model(config)

    with open_model(model, config) as one:
        unfused = by_xlite(one, texts, "host")
    with open_model(fuse(model, config, device="npu:0"), config) as other:
        fused = by_xlite(other, texts, "host")

    assert all(map(torch.equal, unfused, fused))


def test_both_forms_of_a_step_ids_and_embeddings_and_parts_of_a_prompt_agree(expected):
    config, texts, _, _ = expected("qwen3")

    with open_model(make_model(config), config) as model:
        once = by_xlite(model, texts, "host")
        again = [
            by_xlite(model, texts, "device"),
            by_xlite(model, texts, "host", is_embedded=True),
            by_xlite(model, texts, "device", is_embedded=True),
            by_xlite(model, texts, "device", prefills=4),
        ]

    for found in again[:3]:
        assert all(map(torch.equal, once, found))
    # Rows of a product are summed in an order of their own if there are others beside them.
    assert mean_error(again[3], once) < 1e-3


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
def test_float16(family):
    config = make_config(family)
    texts = Texts.random(config)
    exact = by_transformers(make_model(config, torch.float32), texts)
    rounded = by_transformers(make_model(config, torch.float16), texts)

    with open_model(make_model(config, torch.float16), config, dtype=torch.float16) as model:
        found = by_xlite(model, texts, "device")

    assert mean_error(found, exact) <= mean_error(rounded, exact)


def test_logits_of_the_last_tokens(expected):
    config, texts, _, _ = expected("llama")
    exact = make_model(config, torch.float32)

    with open_model(make_model(config), config) as model:
        requests = Requests(model, 2)
        lens = [7, 15]
        ids = torch.cat([texts.ids[i][:n] for i, n in enumerate(lens)])
        hidden = model.forward(requests.device_step(lens), input_ids=ids.to(model.device))
        logits = model.logits(hidden, torch.tensor([6, 21], device=model.device)).cpu().float()

    for row, (text, length) in zip(logits, zip(texts.ids, lens, strict=False), strict=True):
        with torch.no_grad():
            wanted = exact(text[None, :length]).logits[0, -1]
        assert row.shape == wanted.shape
        assert (row - wanted).abs().max() < 0.1
        assert row.argmax() == wanted.argmax()
