# SPDX-License-Identifier: Apache-2.0
"""slot_mapping under torch.compile and inside a captured NPU graph."""

import numpy as np
import pytest
import torch
from batches import Batch, decode_batch
from torch._subclasses import FakeTensorMode

import ascend_ops


def test_fake_tensors_pass_through_without_data():
    with FakeTensorMode() as mode:
        arguments = [
            mode.from_tensor(a) if isinstance(a, torch.Tensor) else a
            for a in decode_batch().arguments("cpu")
        ]

        ascend_ops.slot_mapping(*arguments)

    assert arguments[-1].shape == (8,)


def test_compiled_without_graph_break_for_any_batch_size(device):
    compiled = torch.compile(
        ascend_ops.slot_mapping, backend="aot_eager", fullgraph=True, dynamic=True
    )
    table = np.arange(12).reshape(6, 2)
    for requests in (((0, 3), (20, 1)), ((5, 2), (0, 4), (31, 1))):
        batch = Batch(requests, table, block_size=16, padding=3)
        arguments = batch.arguments(device)

        compiled(*arguments)

        assert arguments[-1].tolist() == batch.expected()


@pytest.mark.npu
def test_replay_maps_the_values_of_the_moment(npu):
    # Given a graph captured over static buffers
    table = np.array([[4, 9], [7, 2], [5, 1]])
    first = Batch(((0, 1), (130, 1), (3, 1)), table, block_size=128, padding=5)
    buffers = first.arguments(npu)
    ascend_ops.slot_mapping(*buffers)  # warm-up: nothing is initialized during the capture
    torch.npu.synchronize()
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        ascend_ops.slot_mapping(*buffers)

    # When other requests of the same shape, with other boundaries, are put there
    second = Batch(((127, 2), (0, 0), (255, 1)), table[::-1], block_size=128, padding=5)
    for buffer, values in zip(buffers, second.arguments("cpu"), strict=True):
        if isinstance(buffer, torch.Tensor):
            buffer.copy_(values)
    graph.replay()

    # Then the replay reads them
    assert buffers[-1].tolist() == second.expected()
