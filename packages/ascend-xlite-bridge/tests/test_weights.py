# SPDX-License-Identifier: Apache-2.0
"""Each row of a family's table finds its tensor, and a tensor that does not fit is named."""

import logging

import pytest
import torch
from fused import fuse
from models import FAMILIES, make_model, make_tiny_config
from torch import nn

from ascend_xlite_bridge import XliteDecoder, XliteRanks, XliteWeightError
from ascend_xlite_bridge._decoder.families import FAMILIES as TABLES
from ascend_xlite_bridge._modules import find_modules
from ascend_xlite_bridge._weights import collect_weights

CPU = torch.device("cpu")
ALONE = XliteRanks()
ROWS = [(family, row) for family in FAMILIES for row in TABLES[FAMILIES[family][1]].rows]


def collect(module, config, ranks=ALONE, device=CPU):
    decoder = XliteDecoder.from_config(config, torch.bfloat16)
    modules = find_modules(module, decoder.num_layers)
    return collect_weights(modules, decoder, ranks, device)


def same(one, other):
    if isinstance(one, list):
        return len(one) == len(other) and all(map(torch.equal, one, other))
    return torch.equal(one, other)


def owner_of(module, path):
    """The module that has a parameter, and the parameter's name."""
    *parents, name = path.split(".")
    return module.get_submodule(".".join(parents)), name


def parameter_path(module, config, row):
    """Where a row's tensor is, in the first layer."""
    modules = find_modules(module, 2)
    paths = row.fused if modules.is_fused else row.unfused
    owner = modules.trunk if row.per == "model" else modules.layers[0]
    for path in paths:
        if path.startswith("lm_head."):
            return modules.head, "weight"
        if modules.find(path, None if row.per == "model" else modules.layers[0]) is not None:
            return owner_of(owner, path)
    raise AssertionError(paths)


@pytest.mark.parametrize("tp_size", [1, 2, 4])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_forms_of_a_model_give_the_engine_the_same(family, tp_size):
    config = make_tiny_config(family)
    model = make_model(config)

    for rank in range(tp_size):
        ranks = XliteRanks(rank=rank, tp_size=tp_size)
        unfused = collect(model, config, ranks)
        fused = collect(fuse(model, config, rank, tp_size), config, ranks)

        assert unfused.tensors.keys() == fused.tensors.keys()
        assert all(same(unfused.tensors[name], fused.tensors[name]) for name in fused.tensors)
        assert unfused.vocab_rows == fused.vocab_rows == 128 // tp_size


def test_the_tensors_of_vllm_are_shared_and_not_copied():
    config = make_tiny_config("qwen3")
    module = fuse(make_model(config), config)

    weights = collect(module, config)

    qkv = module.get_parameter("model.layers.0.self_attn.qkv_proj.weight")
    assert weights.tensors["mha_qkv"][0].data_ptr() == qkv.data_ptr()


def test_a_tensor_that_was_replaced_is_named_and_one_with_new_values_is_not():
    config = make_tiny_config("qwen3")
    module = fuse(make_model(config), config)
    before = collect(module, config)
    down = module.get_parameter("model.layers.1.mlp.down_proj.weight")

    down.add_(1)
    assert before.first_other(collect(module, config)) is None

    down.data = down.clone()
    assert before.first_other(collect(module, config)) == "mlp_down"


def test_experts_of_a_rank_with_expert_parallelism():
    config = make_tiny_config("qwen3_moe")
    model = make_model(config)
    ranks = XliteRanks(rank=1, tp_size=2, is_expert_parallel=True)

    weights = collect(model, config, ranks)

    experts = [layer.mlp.experts.gate_up_proj[4:] for layer in model.model.layers]
    assert same(weights.tensors["re_up_gate"], [each for layer in experts for each in layer])
    assert weights.tensors["re_down"][0].shape == (64, 32)


@pytest.mark.parametrize("is_transposed", [False, True])
def test_experts_lie_either_way(is_transposed):
    config = make_tiny_config("qwen3_moe")
    module = fuse(make_model(config), config)
    for layer in module.model.layers:
        experts = layer.mlp.experts.routed_experts
        for name in ("w13_weight", "w2_weight") if is_transposed else ():
            setattr(experts, name, nn.Parameter(getattr(experts, name).mT.contiguous(), False))

    weights = collect(module, config)

    assert weights.are_experts_transposed is is_transposed
    assert weights.tensors["re_down"][0].shape == ((32, 64) if is_transposed else (64, 32))


def test_experts_where_older_versions_of_vllm_have_them():
    config = make_tiny_config("qwen3_moe")
    module = fuse(make_model(config), config)
    for layer in module.model.layers:
        layer.mlp.experts = layer.mlp.experts.routed_experts

    assert len(collect(module, config).tensors["re_down"]) == 2 * 8


def test_the_embedding_stands_for_a_head_that_is_tied_to_it():
    config = make_tiny_config("qwen3", tie_word_embeddings=True)
    module = fuse(make_model(config), config)
    module.lm_head = nn.Identity()

    weights = collect(module, config)

    assert torch.equal(weights.tensors["head"], weights.tensors["embed"])


def test_a_vocabulary_that_does_not_divide_is_padded():
    config = make_tiny_config("llama", vocab_size=101)
    model = make_model(config)

    parts = [collect(model, config, XliteRanks(rank=r, tp_size=2)) for r in range(2)]

    assert [part.vocab_rows for part in parts] == [51, 51]
    whole = torch.cat([part.tensors["head"] for part in parts])
    assert torch.equal(whole[:101], model.lm_head.weight)
    assert not whole[101:].any()


def test_a_vocabulary_that_vllm_has_padded_keeps_its_rows():
    config = make_tiny_config("llama", vocab_size=100)

    weights = collect(fuse(make_model(config), config), config)

    assert weights.vocab_rows == 128


@pytest.mark.parametrize("form", ["fused", "unfused"])
@pytest.mark.parametrize(("family", "row"), ROWS, ids=[f"{f}-{row.field}" for f, row in ROWS])
def test_a_tensor_that_is_not_there_is_named(family, row, form):
    config = make_tiny_config(family)
    module = make_model(config)
    module = fuse(module, config) if form == "fused" else module
    owner, name = parameter_path(module, config, row)
    delattr(owner, name)
    if row.field == "head":  # its place is then taken by the embedding
        find_modules(module, 2).trunk.embed_tokens.weight = nn.Parameter(torch.zeros(128, 32))

    with pytest.raises(XliteWeightError):
        collect(module, config)


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensor: tensor[..., :-1].contiguous(),
        lambda tensor: tensor.to(torch.float16),
        lambda tensor: torch.stack([tensor, tensor], -1)[..., 0],
    ],
    ids=["shape", "type", "strides"],
)
@pytest.mark.parametrize(("family", "row"), ROWS, ids=[f"{f}-{row.field}" for f, row in ROWS])
def test_a_tensor_that_the_engine_would_misread_is_named(family, row, damage):
    config = make_tiny_config(family)
    module = fuse(make_model(config), config)
    owner, name = parameter_path(module, config, row)
    setattr(owner, name, nn.Parameter(damage(getattr(owner, name).detach()), False))

    with pytest.raises(XliteWeightError) as caught:
        collect(module, config)

    assert row.field in str(caught.value) or row.field in ("embed", "head")


def test_a_tensor_on_another_device_is_named():
    config = make_tiny_config("llama")
    module = fuse(make_model(config), config)

    with pytest.raises(XliteWeightError, match="it is on cpu, expected meta"):
        collect(module, config, device=torch.device("meta"))


def test_a_gate_may_be_in_float32():
    config = make_tiny_config("qwen3_moe")
    module = fuse(make_model(config), config)
    for layer in module.model.layers:
        layer.mlp.gate.weight.data = layer.mlp.gate.weight.data.float()

    assert collect(module, config).tensors["gate"][0].dtype == torch.float32


@pytest.mark.parametrize(
    ("path", "meaning"),
    [
        ("self_attn.o_proj.bias", "no field for this bias"),
        ("mlp.down_proj.bias", "no field for this bias"),
        ("self_attn.sinks", "no attention sinks"),
        ("self_attn.qkv_proj.lora_a", "no LoRA"),
        ("self_attn.qkv_proj.qweight", "GPTQ"),
        ("self_attn.qkv_proj.weight_scale", "quantized"),
    ],
)
def test_a_parameter_that_would_be_left_out_is_refused(path, meaning):
    config = make_tiny_config("llama")
    module = fuse(make_model(config), config)
    owner, name = owner_of(module.model.layers[0], path)
    owner.register_parameter(name, nn.Parameter(torch.zeros(4)))

    with pytest.raises(XliteWeightError, match=meaning):
        collect(module, config)


def test_an_adapter_in_any_layer_is_refused():
    config = make_tiny_config("llama")
    module = fuse(make_model(config), config)
    adapter = nn.ModuleDict({"default": nn.Linear(32, 4, bias=False)})  # as peft has it
    module.model.layers[-1].self_attn.qkv_proj.lora_A = adapter

    with pytest.raises(XliteWeightError, match=r"layers\.1\..*no LoRA"):
        collect(module, config)


def test_an_unknown_parameter_is_told_once_and_left_out(caplog):
    config = make_tiny_config("llama")
    module = fuse(make_model(config), config)
    for layer in module.model.layers:
        layer.self_attn.register_parameter("extra", nn.Parameter(torch.zeros(4)))

    with caplog.at_level(logging.WARNING, "ascend_xlite_bridge"):
        collect(module, config)

    (record,) = caplog.records
    assert "self_attn.extra" in record.getMessage()


def test_a_model_of_another_depth_is_refused():
    config = make_tiny_config("llama")
    model = make_model(make_tiny_config("llama", num_hidden_layers=3))

    with pytest.raises(XliteWeightError, match="there are 3, expected 2"):
        collect(model, config)


def test_a_module_that_is_no_decoder_is_refused():
    with pytest.raises(XliteWeightError, match="no embed_tokens"):
        collect(nn.Linear(2, 2), make_tiny_config("llama"))
