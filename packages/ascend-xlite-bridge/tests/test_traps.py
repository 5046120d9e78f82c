# SPDX-License-Identifier: Apache-2.0
"""What the engine does silently, and the bridge keeps it from."""

import gc
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch_npu
from driver import Requests, open_model
from fused import fuse
from models import make_config, make_model
from needs import needs_xlite
from reference import Texts, by_xlite
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ascend_xlite_bridge import XliteStepError, XliteUnavailableError, XliteWeightError, _native
from ascend_xlite_bridge._model import _check_product

pytestmark = needs_xlite

LENS = [3, 5]


@pytest.fixture(scope="module")
def llama():
    config = make_config("llama")
    return config, make_model(config)


@pytest.fixture(scope="module")
def model(llama):
    config, module = llama
    with open_model(module, config) as model:
        ids = torch.zeros(1, device=model.device)
        model.forward(Requests(model, 1).host_step([1]), input_ids=ids)  # for steps of both forms
        yield model


def embedded(model):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(sum(LENS), model.decoder.hidden_size, generator=generator)
    return values.to(model.decoder.dtype).to(model.device)


class TestStream:
    """The engine launches past torch_npu's queue, which the reading of the stream drains."""

    def test_it_is_read_after_the_last_operator(self, model, monkeypatch):
        events = []

        class Operators(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                events.append(str(function))
                return function(*args, **(kwargs or {}))

        read = model._stream
        monkeypatch.setattr(model, "_stream", lambda: (events.append("stream"), read())[1])
        engine = SimpleNamespace(
            forward_with_inputs_embeds_v2=lambda *args, **options: events.append("engine")
        )
        monkeypatch.setattr(model, "_model", engine)
        with Operators():
            model.forward(Requests(model, 2).device_step(LENS), inputs_embeds=embedded(model))

        assert events[-2:] == ["stream", "engine"]
        assert any("clone" in event for event in events)

    def test_steps_that_nothing_waits_for_are_right(self, model):
        step = Requests(model, 2).host_step(LENS)
        values = embedded(model)
        expected = model.forward(step, inputs_embeds=values * 2)
        torch.npu.synchronize()

        requests = Requests(model, 2)
        found = [
            model.forward(requests.device_step(LENS), inputs_embeds=values * 2, may_overwrite=True)
            for _ in range(20)
        ]

        assert all(torch.equal(each, expected) for each in found)


class TestForms:
    """The engine makes its buffers at the first step, for lengths that are where they are then."""

    def test_a_step_on_the_host_after_a_first_one_on_the_device_is_refused(self, llama):
        config, module = llama
        with open_model(module, config) as model:
            values = embedded(model)
            first = model.forward(Requests(model, 2).device_step(LENS), inputs_embeds=values)

            with pytest.raises(XliteStepError, match="begin with one"):
                model.forward(Requests(model, 2).host_step(LENS), inputs_embeds=values)

            again = model.forward(Requests(model, 2).device_step(LENS), inputs_embeds=values)
            assert torch.equal(again, first)

    def test_a_first_step_on_the_host_allows_both(self, model):
        values = embedded(model)
        steps = [
            Requests(model, 2).host_step(LENS),
            Requests(model, 2).device_step(LENS),
            Requests(model, 2).host_step(LENS),
        ]

        found = [model.forward(step, inputs_embeds=values) for step in steps]

        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])


class TestLifetime:
    def test_the_model_holds_what_the_engine_reads(self, llama):
        config, module = llama
        texts = Texts.random(config, prompts=(20,))
        fused = fuse(module, config, device="npu:0")
        with open_model(fused, config) as model:
            expected = by_xlite(model, texts, "host")
            del fused
            gc.collect()
            overwritten = [torch.full((256, 256), 7.0, device=model.device) for _ in range(50)]
            found = by_xlite(model, texts, "host")
            del overwritten

        assert torch.equal(found[0], expected[0])

    def test_nothing_is_held_after_the_end(self, llama):
        config, module = llama
        gc.collect()
        before = _native.count_copies()

        model = open_model(module, config)
        during = _native.count_copies()
        model.forward(Requests(model, 2).device_step(LENS), inputs_embeds=embedded(model))
        model.close()
        gc.collect()

        assert during > before
        assert _native.count_copies() == before

    @pytest.mark.parametrize("queue", ["0", "1"])
    def test_the_device_is_still_set_afterwards(self, queue):
        program = """
import torch
from driver import Requests, open_model
from models import make_config, make_model
config = make_config("llama", num_hidden_layers=1)
model = open_model(make_model(config), config)
print(torch.ones(3, device=model.device).sum().item())
step = Requests(model, 1).host_step([3])
print(model.forward(step, input_ids=torch.zeros(3, device=model.device)).isfinite().all().item())
model.close()
print(torch.ones(3, device="npu").sum().item())
"""
        environment = os.environ | {
            "TASK_QUEUE_ENABLE": queue,
            "PYTHONPATH": str(Path(__file__).parent),
        }
        simulator = Path(sys.executable).with_name("ascend-sim")

        shown = subprocess.run(
            [simulator, "run", "--", sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
        )

        assert shown.returncode == 0, shown.stderr
        assert shown.stdout.split()[-3:] == ["3.0", "True", "3.0"]


class TestInputs:
    def test_embeddings_are_kept(self, model):
        values = embedded(model)
        before = values.clone()

        model.forward(Requests(model, 2).host_step(LENS), inputs_embeds=values)

        assert torch.equal(values, before)

    def test_embeddings_that_may_be_overwritten_are(self, model):
        values = embedded(model)
        before = values.clone()

        model.forward(Requests(model, 2).host_step(LENS), inputs_embeds=values, may_overwrite=True)

        assert not torch.equal(values, before)

    def test_rows_of_logits_are_chosen_even_if_there_are_as_many_as_requests(self, model):
        requests = Requests(model, 2)
        ids = torch.tensor([5, 9], device=model.device)
        hidden = model.forward(requests.host_step([1, 1]), input_ids=ids)

        straight = model.logits(hidden, torch.tensor([0, 1], device=model.device))
        crossed = model.logits(hidden, torch.tensor([1, 0], device=model.device))

        assert torch.equal(crossed, straight.flip(0))
        assert not torch.equal(crossed, straight)

    def test_a_wide_table_is_narrowed_to_what_is_used(self, llama):
        config, module = llama
        with open_model(module, config, max_seq_len=1024, block_size=4) as model:
            requests = Requests(model, 2)
            narrow = requests.device_step(LENS)
            ids = torch.arange(8, device=model.device)
            expected = model.forward(narrow, input_ids=ids)
            requests.blocks = [row + [0] * 2000 for row in requests.blocks]

            wide = requests.device_step(LENS)

            assert narrow.block_table.shape == (2, 256)
            assert wide.block_table.shape == (2, 2)
            assert torch.equal(model.forward(wide, input_ids=ids), expected)


class TestChip:
    def test_an_engine_that_computes_nothing_is_found_out(self):
        engine = SimpleNamespace(matmul=lambda runtime, x, w, out: None)

        with pytest.raises(XliteUnavailableError, match="wrong product"):
            _check_product(engine, None, torch.device("npu:0"))

    def test_an_engine_that_computes_passes(self, model):
        _check_product(model._engine, model._runtime, model.device)


class TestFormat:
    """FRACTAL_NZ: the engine takes the format of all products from one switch."""

    LINEAR = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")

    @pytest.fixture(autouse=True)
    def formats_are_allowed(self):
        torch.npu.config.allow_internal_format = True
        yield
        torch.npu.config.allow_internal_format = False

    def cast(self, module, names):
        for name, parameter in module.named_parameters():
            if name.split(".")[-2] in names:
                cast = torch_npu.npu_format_cast(parameter.data, 29)
                owner = module.get_submodule(name.rpartition(".")[0])
                owner.weight = nn.Parameter(cast, requires_grad=False)

    def test_all_products_in_it_give_the_same(self, llama):
        config, module = llama
        texts = Texts.random(config, prompts=(20,))
        fused = fuse(module, config, device="npu:0")
        with open_model(fused, config) as model:
            expected = by_xlite(model, texts, "host")
        self.cast(fused, (*self.LINEAR, "lm_head"))

        with open_model(fused, config) as model:
            assert model._weights.are_nz
            found = by_xlite(model, texts, "host")

        assert torch.equal(found[0], expected[0])

    def test_some_products_in_it_are_refused_by_name(self, llama):
        config, module = llama
        fused = fuse(module, config, device="npu:0")
        self.cast(fused, ("o_proj",))

        with pytest.raises(XliteWeightError, match=r"attn_out .* is; xlite takes all or none"):
            open_model(fused, config)
