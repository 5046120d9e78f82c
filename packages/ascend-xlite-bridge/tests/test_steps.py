# SPDX-License-Identifier: Apache-2.0
"""A step whose inputs do not fit is refused before anything is launched."""

import dataclasses

import pytest
import torch
from driver import Requests, open_model
from models import make_config, make_model
from needs import needs_xlite

from ascend_xlite_bridge import XliteClosedError, XliteStepError, XliteWeightError

pytestmark = needs_xlite

LENS = [3, 5]


@pytest.fixture(scope="module")
def model():
    config = make_config("llama", num_hidden_layers=1)
    with open_model(make_model(config), config) as model:
        yield model


@pytest.fixture(scope="module")
def sees():
    config = make_config("qwen3_vl", num_hidden_layers=2)
    with open_model(make_model(config), config) as model:
        yield model


@pytest.fixture
def ids(model):
    return torch.arange(sum(LENS), dtype=torch.int32, device=model.device)


def refused(model, step, **inputs):
    with pytest.raises(XliteStepError) as caught:
        model.forward(step, **inputs)
    return caught.value.what


HOST = {
    "no request": ({"lens": [], "cached_lens": [], "block_tables": []}, "number of requests"),
    "more requests than planned": (
        {"lens": [1] * 5, "cached_lens": [0] * 5, "block_tables": [[0]] * 5},
        "number of requests",
    ),
    "more tokens than planned": ({"lens": [250, 250]}, "number of tokens"),
    "a request without tokens": ({"lens": [0, 8]}, "lens"),
    "a negative number of cached tokens": ({"cached_lens": [-1, 0]}, "lens"),
    "cached lengths of other requests": ({"cached_lens": [0]}, "cached_lens"),
    "a request that is too long": ({"cached_lens": [600, 0]}, "length of a request"),
    "positions of 32 bits": ({"positions": torch.int32}, "positions"),
    "no row of the table": ({"block_tables": [[0]]}, "block_tables"),
    "a row that is too short": ({"block_tables": [[0], []]}, "block_tables"),
    "a block beyond the cache": ({"block_tables": [[0], [10000]]}, "block_tables"),
    "a negative block": ({"block_tables": [[0], [-1]]}, "block_tables"),
}


@pytest.mark.parametrize("case", HOST)
def test_a_step_on_the_host(model, ids, case):
    change, what = HOST[case]
    step = Requests(model, 2).host_step(LENS)
    if isinstance(dtype := change.get("positions"), torch.dtype):
        change = {"positions": step.positions.to(dtype)}

    assert refused(model, dataclasses.replace(step, **change), input_ids=ids) == what


DEVICE = {
    "lens": lambda step: step.lens.long(),
    "cached_lens": lambda step: step.cached_lens[:1],
    "query_start_loc": lambda step: step.query_start_loc.cpu(),
    "positions": lambda step: step.positions.int(),
    "slot_mapping": lambda step: step.slot_mapping.long(),
    "block_table": lambda step: step.block_table[:, ::2],
}


@pytest.mark.parametrize("field", DEVICE)
def test_a_step_on_the_device(model, ids, field):
    step = Requests(model, 2).device_step(LENS)

    wrong = dataclasses.replace(step, **{field: DEVICE[field](step)})

    assert refused(model, wrong, input_ids=ids) == field


def test_inputs_of_another_size(model, ids):
    step = Requests(model, 2).host_step(LENS)

    assert refused(model, step) == "input"
    assert refused(model, step, input_ids=ids[:3]) == "input_ids"
    embedded = torch.zeros(8, 256, dtype=torch.bfloat16, device=model.device)
    assert refused(model, step, inputs_embeds=embedded[:7]) == "inputs_embeds"
    assert refused(model, step, inputs_embeds=embedded.float()) == "inputs_embeds"
    assert refused(model, step, inputs_embeds=embedded.cpu()) == "inputs_embeds"
    assert refused(model, step, inputs_embeds=embedded, deepstack=[embedded]) == "deepstack"
    assert refused(model, step, input_ids=ids, out=embedded[:, :128]) == "out"
    assert refused(model, step, input_ids=ids, out=embedded.float()) == "out"


def test_a_model_that_sees_takes_embeddings_and_a_step_on_the_host(sees):
    requests = Requests(sees, 1)
    planes = torch.arange(3).expand(3, -1).contiguous()
    step = requests.host_step([3], planes)
    embedded = torch.zeros(3, 256, dtype=torch.bfloat16, device=sees.device)
    ids = torch.zeros(3, dtype=torch.int32, device=sees.device)

    assert refused(sees, step, input_ids=ids) == "input_ids"
    assert refused(sees, requests.host_step([3]), inputs_embeds=embedded) == "positions"
    assert refused(sees, step, inputs_embeds=embedded, deepstack=[embedded]) == "deepstack"
    on_device = dataclasses.replace(requests.device_step([3]), positions=step.positions)
    assert refused(sees, on_device, inputs_embeds=embedded) == "form"


def test_ids_of_64_bits_are_converted(model, ids):
    requests = Requests(model, 2)

    narrow = model.forward(requests.host_step(LENS), input_ids=ids)
    wide = model.forward(requests.host_step(LENS), input_ids=ids.long())

    assert torch.equal(narrow, wide)


def test_no_features_of_an_image_stand_for_zeros(sees):
    generator = torch.Generator().manual_seed(0)
    embedded = torch.randn(3, 256, generator=generator).to(torch.bfloat16).to(sees.device)
    planes = torch.arange(3).expand(3, -1).contiguous()

    none = sees.forward(Requests(sees, 1).host_step([3], planes), inputs_embeds=embedded)
    zeros = [torch.zeros_like(embedded)] * 2
    zero = sees.forward(
        Requests(sees, 1).host_step([3], planes), inputs_embeds=embedded, deepstack=zeros
    )

    assert torch.equal(none, zero)


def test_rows_of_logits_are_those_of_the_requests(model, ids):
    hidden = model.forward(Requests(model, 2).host_step(LENS), input_ids=ids)

    with pytest.raises(XliteStepError, match="expected one of each of 2"):
        model.logits(hidden, torch.tensor([2], device=model.device))


def test_a_step_that_was_refused_leaves_the_model_usable(model, ids):
    step = Requests(model, 2).host_step(LENS)
    before = model.forward(step, input_ids=ids)
    refused(model, step, input_ids=ids[:3])

    assert torch.equal(model.forward(step, input_ids=ids), before)


def test_a_step_cannot_be_captured(model, ids):
    step = Requests(model, 2).host_step(LENS)
    out = torch.empty(8, 256, dtype=torch.bfloat16, device=model.device)
    torch.npu.synchronize()
    graph = torch.npu.NPUGraph()

    with (
        torch.npu.graph(graph, stream=torch.npu.Stream()),
        pytest.raises(XliteStepError, match="being captured"),
    ):
        model.forward(step, input_ids=ids, out=out)


def caches_of(model, **changes):
    decoder, device = model.decoder, model.device
    size = changes.get("size", (8, model.run.block_size, decoder.num_kv_heads, decoder.head_dim))
    cache = torch.zeros(size, dtype=changes.get("dtype", decoder.dtype), device=device)
    return [(cache, cache)] * changes.get("layers", decoder.num_layers)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"layers": 3}, "it has 3 layers"),
        ({"size": (8, 16, 4, 64)}, r"its shape is \[8, 16, 4, 64\]"),
        ({"size": (8, 32, 2, 64)}, r"its shape is \[8, 32, 2, 64\]"),
        ({"dtype": torch.float16}, "torch.float16"),
    ],
)
def test_a_kv_cache_that_does_not_fit(model, changes, problem):
    with pytest.raises(XliteWeightError, match=problem):
        model.bind_kv_cache(caches_of(model, **changes))


def test_a_kv_cache_with_heads_before_tokens(model):
    cache = torch.zeros(8, 2, 16, 64, dtype=torch.bfloat16, device=model.device).transpose(1, 2)

    with pytest.raises(XliteWeightError, match="its strides are"):
        model.bind_kv_cache([(cache, cache)])


def test_a_step_before_the_kv_cache_and_one_after_the_end():
    config = make_config("llama", num_hidden_layers=1)
    model = open_model(make_model(config), config)
    ids = torch.zeros(1, dtype=torch.int32, device=model.device)
    step = Requests(model, 1).host_step([1])
    caches, model._caches = model._caches, []

    assert refused(model, step, input_ids=ids) == "order"
    model._caches = caches
    model.close()
    model.close()
    with pytest.raises(XliteClosedError):
        model.forward(step, input_ids=ids)
    with pytest.raises(XliteClosedError):
        model.bind_kv_cache(caches)
