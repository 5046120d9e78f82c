# SPDX-License-Identifier: Apache-2.0
"""Fused attention of inference is no more permissive than that of a device."""

import pytest
import torch
import torch_npu
from _attention import TRIANGLE, assert_near, attend, hidden, paged, rows_of
from _infer_limits import REFUSED, TAKEN
from _oracle import values


@pytest.mark.parametrize("call", TAKEN, ids=lambda call: call.name)
def test_what_a_device_takes_is_taken(call):
    call.run()


@pytest.mark.parametrize("call", REFUSED, ids=lambda call: call.name)
def test_what_a_device_refuses_is_refused(call):
    with pytest.raises(RuntimeError, match=call.text) as error:
        call.run()
    assert "`--limits off` lifts it" in str(error.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sizes_of_a_device_are_computed_right(dtype):
    queries, keys, block = [1, 70, 3], [40, 90, 3], 128
    key, value, table = paged(keys, block, (2, 128), (2, 128), dtype=dtype)
    query = values(sum(queries), 8, 128, dtype=dtype)
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        query.npu(),
        key.flatten(2).npu(),
        value.flatten(2).npu(),
        atten_mask=TRIANGLE.npu(),
        actual_seq_lengths=torch.tensor(queries).cumsum(0).tolist(),
        actual_seq_lengths_kv=keys,
        block_table=table.npu(),
        num_heads=8,
        num_key_value_heads=2,
        scale=0.125,
        input_layout="TND",
        sparse_mode=3,
        block_size=block,
    )
    expected = [
        attend(
            q,
            rows_of(key, table[i], keys[i]),
            rows_of(value, table[i], keys[i]),
            hidden(queries[i], keys[i], 3),
        )[0]
        for i, q in enumerate(query.split(queries))
    ]
    assert_near(actual, torch.cat(expected))
