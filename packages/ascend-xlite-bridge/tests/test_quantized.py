# SPDX-License-Identifier: Apache-2.0
"""Weights of 8 bits: what the engine gets, what it computes, and what is refused."""

import copy

import pytest
import torch
from driver import open_model
from fused import fuse
from models import make_config, make_model, make_tiny_config
from needs import needs_xlite
from quantized import SCHEME, dequantize, quantize
from reference import Texts, by_transformers, by_xlite

from ascend_xlite_bridge import (
    XliteDecoder,
    XliteRanks,
    XliteRun,
    XliteUnsupportedError,
    XliteWeightError,
    check_run,
)
from ascend_xlite_bridge._decoder.quantization import engine_scales
from ascend_xlite_bridge._modules import find_modules
from ascend_xlite_bridge._weights import collect_weights

CPU = torch.device("cpu")
RUN = XliteRun(max_tokens=64, max_requests=8, max_seq_len=1024)
FAMILIES = ["llama", "qwen3", "qwen3_moe"]
FIELDS = {
    "llama": ["mha_qkv", "attn_out", "mlp_up_gate", "mlp_down"],
    "qwen3_moe": ["mha_qkv", "attn_out", "re_up_gate", "re_down"],
}


def quantized_config(family, make=make_tiny_config, **changes):
    config = make(family, **changes)
    config.quantization_config = copy.deepcopy(SCHEME)
    return config


def collect(module, config, ranks=None):
    decoder = XliteDecoder.from_config(config, torch.bfloat16)
    modules = find_modules(module, decoder.num_layers)
    return collect_weights(modules, decoder, ranks or XliteRanks(), CPU)


def mean_error(found, expected):
    return (torch.cat(found) - torch.cat(expected)).abs().mean().item()


@needs_xlite
@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states(family, record_property):
    config = quantized_config(family, make_config)
    texts = Texts.random(config)
    results = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = quantize(make_model(config, dtype))
        with dequantize(model, dtype) as products:
            results[dtype] = by_transformers(model, texts)
        assert products.count >= 4 * 2 * len(texts.ids)

    with open_model(quantize(make_model(config)), config) as model:
        found = by_xlite(model, texts, "device")

    exact = results[torch.float32]
    errors = mean_error(found, exact), mean_error(results[torch.bfloat16], exact)
    record_property("errors", (family, *errors))
    assert errors[0] <= errors[1]


@needs_xlite
def test_the_fused_product_of_the_engine_gives_the_same_to_the_bit(monkeypatch):
    config = quantized_config("llama", make_config)
    texts = Texts.random(config, prompts=(37, 5))
    found = {}
    for is_fused in ("0", "1"):
        monkeypatch.setenv("XLITE_FUSED_DENSE_W8A8", is_fused)
        with open_model(quantize(make_model(config)), config) as model:
            found[is_fused] = by_xlite(model, texts, "device")

    assert all(map(torch.equal, found["0"], found["1"]))


@needs_xlite
@pytest.mark.parametrize("family", FAMILIES)
def test_the_modules_of_vllm_give_the_same_to_the_bit(family):
    config = quantized_config(family, make_config)
    texts = Texts.random(config, prompts=(37, 5))
    model = make_model(config)

    fused = quantize(fuse(model, config)).to("npu:0")
    with open_model(fused, config) as one:
        of_vllm = by_xlite(one, texts, "host")
    with open_model(quantize(model), config) as other:
        of_transformers = by_xlite(other, texts, "host")

    assert all(map(torch.equal, of_vllm, of_transformers))


@pytest.mark.parametrize("family", FIELDS)
def test_a_scale_of_each_output_goes_with_each_weight(family):
    config = quantized_config(family)
    model = quantize(make_model(config))

    weights = collect(model, config)

    for field in FIELDS[family]:
        scales = weights.tensors[f"{field}_deq_scale"]
        assert len(scales) == len(weights.tensors[field])
        for scale, weight in zip(scales, weights.tensors[field], strict=True):
            assert weight.dtype == torch.int8
            assert scale.dtype == torch.float32
            assert scale.shape == (2 * len(weight), 1)
            assert (scale[::2] > 0).all()
            assert (scale[1::2].view(torch.int32) == 0).all()


@pytest.mark.parametrize("family", FIELDS)
def test_ranks_have_the_scales_of_their_own_outputs(family):
    config = quantized_config(family)
    model = quantize(make_model(config))
    whole = collect(model, config).tensors

    parts = [collect(model, config, XliteRanks(rank=r, tp_size=2)).tensors for r in range(2)]

    up, down = FIELDS[family][2:]
    halves = [part[f"{up}_deq_scale"][1].view(2, -1) for part in parts]
    both = torch.cat(halves, 1).flatten()
    assert torch.equal(both, whole[f"{up}_deq_scale"][1].flatten())
    for part in parts:
        assert torch.equal(part[f"{down}_deq_scale"][1], whole[f"{down}_deq_scale"][1])
        assert part[f"{up}_deq_scale"][1].shape == (2 * len(part[up][1]), 1)


def test_scales_are_rounded_to_what_the_device_looks_at():
    scales = torch.tensor([1.0, 1 + 2**-10, 1 + 0.75 * 2**-10, 1 + 0.25 * 2**-10])[:, None]

    found = engine_scales(scales.to(torch.float32))

    assert found[::2, 0].tolist() == [1.0, 1 + 2**-10, 1 + 2**-10, 1.0]


def test_weights_of_8_bits_need_their_scales():
    config = quantized_config("llama")
    model = quantize(make_model(config))
    del model.model.layers[1].mlp.up_proj.weight_scale

    with pytest.raises(XliteWeightError, match=r"layers\.1\.mlp\.up_proj\.weight_scale"):
        collect(model, config)


@pytest.mark.parametrize("change", ["shape", "type"])
def test_scales_that_do_not_fit_are_named(change):
    config = quantized_config("llama")
    model = quantize(make_model(config))
    owner = model.model.layers[1].self_attn.o_proj
    scale = owner.weight_scale.detach()
    scale = scale[:1] if change == "shape" else scale.double()
    owner.weight_scale = torch.nn.Parameter(scale, requires_grad=False)

    with pytest.raises(XliteWeightError, match=r"attn_out_deq_scale .*o_proj\.weight_scale"):
        collect(model, config)


def test_all_layers_have_8_bits_or_none():
    config = quantized_config("llama")
    model = quantize(make_model(config))
    plain = make_model(config).model.layers[1].mlp.down_proj
    model.model.layers[1].mlp.down_proj = plain

    with pytest.raises(XliteWeightError, match="takes all or none"):
        collect(model, config)


def test_a_projection_that_was_left_out_of_quantization_stays_as_it_is():
    config = quantized_config("llama")
    model = quantize(make_model(config))
    for layer, plain in zip(model.model.layers, make_model(config).model.layers, strict=True):
        layer.mlp.down_proj = plain.mlp.down_proj

    weights = collect(model, config)

    assert weights.tensors["mlp_down"][0].dtype == torch.bfloat16
    assert "mlp_down_deq_scale" not in weights.tensors


def test_weights_of_8_bits_that_no_config_speaks_of_are_refused():
    config = make_tiny_config("llama")

    with pytest.raises(XliteWeightError, match=r"weight_scale"):
        collect(quantize(make_model(config)), config)


def _set(path, value):
    def change(scheme):
        *parents, last = path
        for key in parents:
            scheme = scheme[key]
        scheme[last] = value

    return change


@pytest.mark.parametrize(
    ("family", "dtype", "change", "option"),
    [
        ("llama", torch.bfloat16, _set(["quant_method"], "gptq"), "quant_method"),
        ("llama", torch.bfloat16, _set(["kv_cache_scheme"], {"num_bits": 8}), "kv_cache_scheme"),
        (
            *("llama", torch.bfloat16),
            _set(["config_groups", "group_0", "weights", "num_bits"], 4),
            "config_groups.group_0.weights.num_bits",
        ),
        (
            *("llama", torch.bfloat16),
            _set(["config_groups", "group_0", "input_activations", "dynamic"], False),
            "config_groups.group_0.input_activations.dynamic",
        ),
        (
            *("llama", torch.bfloat16),
            _set(["config_groups", "group_0", "weights", "strategy"], "group"),
            "config_groups.group_0.weights.strategy",
        ),
        ("qwen2", torch.bfloat16, lambda scheme: None, ""),
        ("llama", torch.float16, lambda scheme: None, None),
    ],
)
def test_what_the_engine_does_not_compute_is_refused_by_name(family, dtype, change, option):
    config = quantized_config(family)
    change(config.quantization_config)

    with pytest.raises(XliteUnsupportedError) as caught:
        check_run(config, dtype, RUN)

    (problem,) = caught.value.problems
    expected = "--dtype" if option is None else f"model quantization_config.{option}".rstrip(".")
    assert problem.option == expected


def test_a_config_without_activations_of_8_bits_is_refused():
    config = quantized_config("llama")
    config.quantization_config["config_groups"]["group_0"]["input_activations"] = None

    with pytest.raises(XliteUnsupportedError, match="input_activations"):
        check_run(config, torch.bfloat16, RUN)
