# SPDX-License-Identifier: Apache-2.0
"""Fused attention with this mask and these arguments sees the keys that a layer is to see."""

import pytest
import torch

from ascend_ops import causal_mask, visible_keys

HEADS, QUERIES, KEYS, SIZE = 2, 5, 9, 64


@pytest.mark.npu
@pytest.mark.parametrize("window", [None, 1, 4, KEYS])
def test_attention_sees_the_keys_of_the_window(window: int | None, npu: torch.device) -> None:
    """Given fewer queries than keys, the last query is at the last key."""
    import torch_npu

    torch.manual_seed(0)
    q, k, v = (torch.randn(1, HEADS, n, SIZE, dtype=torch.float16) for n in (QUERIES, KEYS, KEYS))

    found, _ = torch_npu.npu_fused_infer_attention_score(
        *(each.to(npu) for each in (q, k, v)),
        num_heads=HEADS,
        input_layout="BNSD",
        scale=SIZE**-0.5,
        atten_mask=causal_mask(npu),
        **visible_keys(window),
    )

    distance = (torch.arange(QUERIES) + KEYS - QUERIES)[:, None] - torch.arange(KEYS)
    sees = (distance >= 0) & (distance < (window or KEYS))
    expected = torch.nn.functional.scaled_dot_product_attention(
        *(x.float() for x in (q, k, v)), sees
    )
    torch.testing.assert_close(found.cpu().float(), expected, atol=2e-3, rtol=2e-2)


@pytest.mark.npu
def test_the_mask_of_a_device_is_made_once(npu: torch.device) -> None:
    assert causal_mask(npu) is causal_mask(npu)
