# SPDX-License-Identifier: Apache-2.0
"""An operator in a graph computes from what its inputs hold when the graph is replayed."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.oracle import values

CONSTANTS = torch.tensor([0, 2, 1, 2]), values(6, 3, 3, seed=7)


def next_tokens(logits: torch.Tensor, rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    if logits.device.type == "npu":
        k = torch.full((4,), 3, dtype=torch.int32, device="npu")
        return torch_npu.npu_top_k_top_p_sample(logits, k, torch.ones(4, device="npu"))[0]
    return logits.argmax(-1)


FUNCTIONS = {
    "arithmetic": lambda t, rows, weight: (t + 1) * t / (t.abs() + 2),
    "activation": lambda t, rows, weight: F.celu(F.gelu(t), 0.7),
    "reduction": lambda t, rows, weight: t.sum(1) + t.norm(dim=1) + t.logsumexp(1),
    "softmax": lambda t, rows, weight: t.softmax(-1),
    "sort": lambda t, rows, weight: t.sort(-1).values,
    "topk": lambda t, rows, weight: t.topk(3, -1).indices,
    "gather": lambda t, rows, weight: t[rows],
    "matmul": lambda t, rows, weight: t @ t.t(),
    "convolution": lambda t, rows, weight: F.conv1d(t.view(1, 3, 8), weight),
    "maximum": lambda t, rows, weight: F.max_pool2d(t[None], 2),
    "interpolation": lambda t, rows, weight: F.interpolate(
        t[None, None], size=(5, 9), mode="bilinear"
    ),
    "norm": lambda t, rows, weight: F.layer_norm(t, (6,)),
    "lists": lambda t, rows, weight: torch.stack(torch._foreach_add([t, t * 2], 1.0)),
    "loss": lambda t, rows, weight: F.cross_entropy(t, rows),
    "sample": next_tokens,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_replay_computes_anew(name):
    function = FUNCTIONS[name]
    inputs = [values(4, 6, seed=i) for i in range(3)]
    held, constants = inputs[0].npu(), [constant.npu() for constant in CONSTANTS]
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        result = function(held, *constants)
    for tensor in inputs:
        held.copy_(tensor)
        graph.replay()
        expected = function(tensor, *CONSTANTS)
        torch.testing.assert_close(result.cpu(), expected, rtol=1e-5, atol=1e-5)
