# SPDX-License-Identifier: Apache-2.0
"""Tests of the program: `pytest --ascend-sim` here, `pytest` on a machine with an NPU."""

import pytest
import torch
from decoder_block import ReplayedBlock, allocate_cache, block


@pytest.fixture
def tensors() -> list[torch.Tensor]:
    """x, gain and weight on the CPU."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in ((4, 16), (16,), (16, 32))]


def expected(x: torch.Tensor, gain: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The block in plain PyTorch, on the CPU."""
    normed = torch.nn.functional.rms_norm(x, (16,), gain, eps=1e-6)
    gate, up = (normed @ weight).chunk(2, dim=-1)
    return x + torch.nn.functional.silu(gate) * up


def test_the_block_agrees_with_plain_pytorch(tensors):
    result = block(*(tensor.npu() for tensor in tensors))

    torch.testing.assert_close(result.cpu(), expected(*tensors))


def test_the_graph_is_captured_once_and_agrees_for_other_values(tensors, ascend_sim_counters):
    x, *weights = tensors
    replayed = ReplayedBlock(*(tensor.npu() for tensor in tensors))

    for factor in (1.0, 2.0, 3.0):
        result = replayed((x * factor).npu())
        torch.testing.assert_close(result.cpu(), expected(x * factor, *weights))

    counted = ascend_sim_counters()
    assert (counted["graphs_captured"], counted["graph_executions"]) == (1, 3)


def test_a_cache_that_does_not_fit_is_halved(ascend_sim_fault):
    fault = ascend_sim_fault(f"fail:malloc,from=1,bytes={64 << 20}")

    cache = allocate_cache(256 << 20, least=1 << 20)

    assert cache.numel() == 32 << 20
    assert fault.hits >= 2
