# SPDX-License-Identifier: Apache-2.0
"""Dropout."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu

SIZE = 20000


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_is_dropped_and_the_rest_scaled(p):
    torch.npu.manual_seed(0)
    kept = F.dropout(torch.ones(SIZE, device="npu"), p).cpu()
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])
    assert (kept == 0).float().mean().item() == pytest.approx(p, abs=0.02)


def test_nothing_or_everything_is_dropped():
    ones = torch.ones(10, device="npu")
    assert torch.equal(F.dropout(ones, 0.0).cpu(), torch.ones(10))
    assert torch.equal(F.dropout(ones, 1.0).cpu(), torch.zeros(10))
    assert torch.equal(F.dropout(ones, 0.5, training=False).cpu(), torch.ones(10))


def test_gradient_passes_where_the_value_did():
    x = torch.ones(3, 37, device="npu", requires_grad=True)
    y = F.dropout(x, 0.4)
    y.sum().backward()
    assert torch.equal(x.grad.cpu(), y.detach().cpu())


def test_a_seed_fixes_what_is_dropped():
    ones = torch.ones(100, device="npu")
    torch.npu.manual_seed(3)
    first, second = F.dropout(ones, 0.5).cpu(), F.dropout(ones, 0.5).cpu()
    torch.npu.manual_seed(3)
    assert torch.equal(F.dropout(ones, 0.5).cpu(), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_mask_has_a_bit_for_each_element_that_stays(p):
    def draw():
        return torch_npu.npu_dropout_gen_mask([200, 101], p, dtype=torch.float32, device="npu")

    torch.npu.manual_seed(3)
    first, second = draw().cpu(), draw().cpu()
    bits = (first.unsqueeze(-1) >> torch.arange(8) & 1).flatten()[: 200 * 101]
    assert bits.float().mean().item() == pytest.approx(1 - p, abs=0.02)
    assert not torch.equal(first, second)
    torch.npu.manual_seed(3)
    assert torch.equal(draw().cpu(), first)


def test_each_replay_of_a_graph_drops_others():
    ones, graph = torch.ones(100, device="npu"), torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        dropped = F.dropout(ones, 0.5)
    results = []
    for _ in range(2):
        graph.replay()
        results.append(dropped.cpu())
    assert set(results[0].unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(*results)
