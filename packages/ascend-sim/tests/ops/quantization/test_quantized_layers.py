# SPDX-License-Identifier: Apache-2.0
"""W8A8 layers: exact against integers, near the float layer by the bound of quantization."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.integers import dynamic, product
from support.oracle import values

TOKENS, HIDDEN, INNER, EXPERTS, K = 9, 64, 48, 8, 2


def _quantized_weight(weight):
    """Columns of [..., k, n], each with a scale of its own."""
    rows, scale = dynamic(weight.transpose(-1, -2))
    return rows.transpose(-1, -2).contiguous(), scale


def _error_bound(x, weight, x_scale, w_scale):
    """Return a bound of the error of a product whose factors are off by half a step each."""
    x_off, w_off = x_scale.unsqueeze(1) / 2, w_scale.unsqueeze(0) / 2
    k = x.size(1)
    return x_off * weight.abs().sum(0) + x.abs().sum(1, keepdim=True) * w_off + k * x_off * w_off


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_linear_layer(dtype):
    x, weight = values(TOKENS, HIDDEN, dtype=dtype), values(HIDDEN, INNER, seed=1)
    integers, scale = _quantized_weight(weight)
    rows, tokens = torch_npu.npu_dynamic_quant(x.npu())
    actual = torch_npu.npu_quant_matmul(
        rows, integers.npu(), scale.npu(), pertoken_scale=tokens, output_dtype=dtype
    ).cpu()
    expected_rows, steps = dynamic(x)
    exact = product(expected_rows, integers).float() * scale * steps.unsqueeze(1)
    assert torch.equal(actual, exact.to(dtype))
    error = (exact.double() - x.double() @ weight.double()).abs()
    assert (error <= 1.001 * _error_bound(x.float(), weight, steps, scale)).all()


def _expert_layer(x, gate_up, down, chosen, weights):
    """Sum up the experts of every token, in floating point."""
    out = torch.zeros(TOKENS, HIDDEN, dtype=torch.double)
    for token in range(TOKENS):
        for expert, weight in zip(chosen[token], weights[token], strict=True):
            gate, up = (x[token].double() @ gate_up[expert].double()).chunk(2, -1)
            out[token] += weight.double() * ((F.silu(gate) * up) @ down[expert].double())
    return out


def test_a_layer_of_experts():
    x, logits = values(TOKENS, HIDDEN).bfloat16(), values(TOKENS, EXPERTS, seed=1)
    gate_up = values(EXPERTS, HIDDEN, 2 * INNER, seed=2) / HIDDEN**0.5
    down = values(EXPERTS, INNER, HIDDEN, seed=3) / INNER**0.5
    (up_rows, up_scale), (down_rows, down_scale) = map(_quantized_weight, (gate_up, down))

    weights, chosen, _ = torch_npu.npu_moe_gating_top_k_softmax_v2(logits.npu(), k=K, renorm=1)
    rows, places, counts, scales = torch_npu.npu_moe_init_routing_v2(
        x.npu(),
        chosen,
        expert_num=EXPERTS,
        expert_tokens_num_type=1,
        expert_tokens_num_flag=True,
        quant_mode=1,
    )
    arguments = {"group_list": counts, "group_list_type": 1, "split_item": 3, "group_type": 0}
    (sums,) = torch_npu.npu_grouped_matmul(
        [rows], [up_rows.npu()], output_dtype=torch.int32, **arguments
    )
    middle = sums.cpu().float() * up_scale[_owner(counts)] * scales.cpu().unsqueeze(1)
    gate, up = middle.chunk(2, -1)
    rows, scales = torch_npu.npu_dynamic_quant((F.silu(gate) * up).bfloat16().npu())
    (rows,) = torch_npu.npu_grouped_matmul(
        [rows],
        [down_rows.npu()],
        scale=[down_scale.bfloat16().npu()],
        per_token_scale=[scales],
        output_dtype=torch.bfloat16,
        **arguments,
    )
    actual = torch_npu.npu_moe_token_unpermute(rows, places, weights.bfloat16()).cpu().double()

    # Integers up to the gate: exact.
    order = [p for e in range(EXPERTS) for p in (chosen.cpu().flatten() == e).nonzero().flatten()]
    integers, _ = dynamic(x[[int(p) // K for p in order]])
    exact = [product(r, up_rows[e]) for r, e in zip(integers, _owner(counts), strict=True)]
    assert torch.equal(sums.cpu().long(), torch.stack(exact))
    # The whole layer: two roundings to 8 bits of operands, and bfloat16 between.
    expected = _expert_layer(x, gate_up, down, chosen.cpu(), weights.cpu())
    assert (actual - expected).norm() / expected.norm() < 0.02


def _owner(counts):
    return torch.arange(EXPERTS).repeat_interleave(counts.cpu())
