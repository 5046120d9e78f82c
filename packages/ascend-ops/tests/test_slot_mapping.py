# SPDX-License-Identifier: Apache-2.0
"""slot_mapping gives every token of a batch its place in the paged cache."""

import numpy as np
import torch
from batches import Batch, batches, decode_batch
from hypothesis import HealthCheck, given, settings

import ascend_ops

ragged = settings(
    max_examples=60,
    deadline=None,
    # The device fixture holds no state that one example could leave to the next.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@ragged
@given(batch=batches())
def test_every_token_gets_its_cell_and_the_rest_is_padding(device, batch):
    arguments = batch.arguments(device)

    ascend_ops.slot_mapping(*arguments)

    assert arguments[-1].tolist() == batch.expected()


def test_known_decode_batch(device):
    arguments = decode_batch().arguments(device)

    ascend_ops.slot_mapping(*arguments)

    assert arguments[-1].tolist() == [4 * 128, 2 * 128 + 2, 5 * 128 + 127, -1, -1, -1, -1, -1]


def test_padding_gets_the_value_asked_for(device):
    batch = decode_batch()
    arguments = batch.arguments(device)

    ascend_ops.slot_mapping(*arguments, pad_id=12)

    assert arguments[-1].tolist() == batch.expected(pad_id=12)


def test_batch_without_tokens_is_all_padding(device):
    batch = Batch(((0, 0),), np.array([[3]]), block_size=16, padding=4)
    arguments = batch.arguments(device)

    ascend_ops.slot_mapping(*arguments)

    assert arguments[-1].tolist() == [-1] * 4


def test_strided_views_are_read_and_written_in_place(device):
    batch = decode_batch()
    positions, starts, table, block_size, out = batch.arguments(device)
    wide_table = torch.full((table.shape[0], 8), 99, dtype=table.dtype, device=device)
    wide_table[:, ::4] = table
    wide_out = torch.full((2 * len(out),), -77, dtype=out.dtype, device=device)
    pair = torch.stack([positions, positions], dim=1)

    ascend_ops.slot_mapping(pair[:, 0], starts, wide_table[:, ::4], block_size, wide_out[::2])

    assert wide_out[::2].tolist() == batch.expected()
    assert wide_out[1::2].tolist() == [-77] * len(out)


def test_slots_beyond_32_bits_are_not_cut(device):
    block = 2**31 // 128
    batch = Batch(
        ((0, 2),),
        np.array([[block]]),
        block_size=128,
        padding=0,
        dtypes=(torch.int32, torch.int32, torch.int32, torch.int64),
    )
    arguments = batch.arguments(device)

    ascend_ops.slot_mapping(*arguments)

    assert arguments[-1].tolist() == [2**31, 2**31 + 1]


def test_opcheck_accepts_schema_mutation_and_tracing(device):
    torch.library.opcheck(torch.ops.ascend.slot_mapping.default, decode_batch().arguments(device))
