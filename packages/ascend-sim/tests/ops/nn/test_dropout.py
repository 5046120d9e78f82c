# SPDX-License-Identifier: Apache-2.0
"""Dropout."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.aclnn import call

SIZE = 20000


def _bits(mask):
    return (mask.cpu().unsqueeze(-1) >> torch.arange(8) & 1).flatten()


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
    bits = _bits(first)[: 200 * 101]
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


@pytest.mark.parametrize("late", [False, True], ids=["numbers", "tensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_950_draws_the_mask_and_drops_in_one_operator(dtype, late):
    """Given seed and offset by value or, for graphs, in tensors, the same is dropped."""
    x = torch.arange(1, 4097).to(dtype)

    def drop(seed):
        out, mask = torch.zeros(4096, dtype=dtype).npu(), torch.zeros(512).byte().npu()
        if late:
            where = (torch.tensor([seed]).npu(), torch.tensor([4]).npu(), 6)
            call("aclnnDropoutV3Tensor", x.npu(), None, 0.25, *where, out, mask)
        else:
            call("aclnnDropoutV3", x.npu(), None, 0.25, seed, 10, out, mask)
        return out.cpu(), _bits(mask)

    out, stays = drop(3)
    torch.testing.assert_close(out, torch.where(stays.bool(), x.float() / 0.75, 0).to(dtype))
    assert stays.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert torch.equal(drop(3)[1], stays)
    assert not torch.equal(drop(5)[1], stays)
