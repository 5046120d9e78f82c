# SPDX-License-Identifier: Apache-2.0
"""The table of rotations is the model's own, whatever its scaling."""

import pytest
import torch
from fused import fuse
from models import make_model, make_tiny_config

from ascend_xlite_bridge import XliteDecoder, XliteWeightError
from ascend_xlite_bridge._modules import find_modules
from ascend_xlite_bridge._rope import rope_table

CPU = torch.device("cpu")
LENGTH = 300
SCALINGS = {
    "default": {"rope_type": "default", "rope_theta": 10000.0},
    "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "yarn": {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 256,
    },
}


def table_of(module, config, length=LENGTH):
    decoder = XliteDecoder.from_config(config, torch.bfloat16)
    return rope_table(find_modules(module, 2), decoder, length, CPU)


def rotated(vector, table, position):
    """Rotate a head by the table, as the engine does: its halves are the two coordinates."""
    cos, sin = table[position].chunk(2)
    first, second = vector.chunk(2)
    return torch.cat([first * cos - second * sin, second * cos + first * sin])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_it_rotates_as_transformers_does(scaling):
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    config = make_tiny_config("llama", rope_parameters=SCALINGS[scaling])
    model = make_model(config, torch.float32)
    vector = torch.randn(64, generator=torch.Generator().manual_seed(0))

    table = table_of(model, config)

    cos, sin = model.model.rotary_emb(vector, torch.arange(LENGTH)[None])
    for position in (0, 1, 63, 64, LENGTH - 1):
        one = vector.view(1, 1, 1, 64)
        at = (cos[:, position, None], sin[:, position, None])
        expected, _ = apply_rotary_pos_emb(one, one, *at)
        torch.testing.assert_close(rotated(vector, table, position), expected.flatten())


def test_scalings_differ():
    tables = [
        table_of(make_model(config), config)
        for config in (
            make_tiny_config("llama", rope_parameters=each) for each in SCALINGS.values()
        )
    ]

    assert not any(torch.equal(one, other) for i, one in enumerate(tables) for other in tables[:i])


def test_frequencies_that_a_conversion_has_rounded_are_not_used():
    config = make_tiny_config("llama")
    exact = table_of(make_model(config), config)

    converted = make_model(config).to(torch.bfloat16)

    assert torch.equal(table_of(converted, config), exact)


def test_the_table_of_vllm_is_taken_as_it_is():
    config = make_tiny_config("llama")
    module = fuse(make_model(config), config)

    table = table_of(module, config)

    cache = module.model.layers[0].self_attn.rotary_emb.cos_sin_cache
    assert table.data_ptr() == cache.data_ptr()
    assert torch.equal(table, table_of(make_model(config), config))


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen3_vl_moe"])
def test_lanes_of_three_coordinates_have_frequencies_of_their_own(family):
    config = make_tiny_config(family)

    table = table_of(make_model(config), config)

    frequencies = 10000.0 ** -(torch.arange(0, 64, 2) / 64)
    angles = torch.arange(LENGTH)[:, None] * frequencies
    torch.testing.assert_close(table, torch.cat([angles.cos(), angles.sin()], -1))


def test_a_table_that_is_too_short_is_refused():
    config = make_tiny_config("llama")
    module = fuse(make_model(config), config)

    with pytest.raises(XliteWeightError, match=r"\[1024, 64\], expected \[2000, 64\]"):
        table_of(module, config, 2000)


def test_rotation_of_neighbours_is_refused():
    config = make_tiny_config("llama")
    module = fuse(make_model(config), config)
    module.model.layers[0].self_attn.rotary_emb.is_neox_style = False

    with pytest.raises(XliteWeightError, match="rotates neighbours"):
        table_of(module, config)


def test_a_scaling_that_no_table_can_hold_is_refused():
    scaling = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    config = make_tiny_config("llama", rope_parameters=scaling)

    with pytest.raises(XliteWeightError, match="rotation of type dynamic"):
        table_of(make_model(config), config)


def test_a_model_without_rotation_is_refused():
    config = make_tiny_config("llama")
    model = make_model(config)
    del model.model.rotary_emb

    with pytest.raises(XliteWeightError, match="no rotary embedding"):
        table_of(model, config)
