# SPDX-License-Identifier: Apache-2.0
"""Operations of libatb in captured graphs: lengths are host arguments, changed by an update."""

import pytest
import torch
import torch_npu
from support.oracle import values


def _setting():
    q = values(2, 2, 16, dtype=torch.float16)
    keys = values(6, 16, 1, 16, dtype=torch.float16, seed=1)
    return q, keys, torch.tensor([[3, 0, 5], [1, 4, 2]], dtype=torch.int32)


def _expected(q, keys, table, lengths):
    rows = []
    for i, length in enumerate(lengths):
        k = keys[table[i].long()].flatten(0, 1)[:length, 0].float()
        rows.append((q[i].float() @ k.t() * 0.25).softmax(-1) @ k)
    return torch.stack(rows)


def _close(actual, expected):
    torch.testing.assert_close(actual.cpu().float(), expected, rtol=4e-3, atol=4e-3)


def test_a_replay_keeps_the_lengths_of_the_capture_and_reads_the_data_anew():
    q, keys, table = _setting()
    query, cache, out = q.npu(), keys.npu(), torch.empty_like(q, device="npu")
    block_table = table.npu()
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        lengths = torch.tensor([5, 40], dtype=torch.int32)
        torch_npu._npu_paged_attention(query, cache, cache, 1, 2, 0.25, block_table, lengths, out)
        del lengths
    query.copy_(q.flip(0))
    graph.replay()
    _close(out, _expected(q.flip(0), keys, table, [5, 40]))


# torch_npu's own use of a deprecated class, in the capture of an update.
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")
def test_lengths_are_updated_between_replays():
    q, keys, table = _setting()
    query, cache, block_table = q.npu(), keys.npu(), table.npu()
    out = torch.empty_like(query)
    graph = torch.npu.NPUGraph()
    shortest = torch.tensor([1, 1], dtype=torch.int32)
    with torch.npu.graph(graph, auto_dispatch_capture=True):
        torch_npu._npu_paged_attention(query, cache, cache, 1, 2, 0.25, block_table, shortest, out)
    for lengths in ([3, 17], [4, 18], [48, 1]):
        graph.update(cpu_update_input=[{"context_lens": torch.tensor(lengths, dtype=torch.int32)}])
        graph.replay()
        torch.npu.synchronize()
        _close(out, _expected(q, keys, table, lengths))


def test_a_task_group_is_updated_on_another_stream():
    q, keys, table = _setting()
    query, cache, block_table = q.npu(), keys.npu(), table.npu()
    out = torch.empty_like(query)

    def attend(*lengths):
        host = torch.tensor(lengths, dtype=torch.int32)
        torch_npu._npu_paged_attention(query, cache, cache, 1, 2, 0.25, block_table, host, out)

    graph, update = torch.npu.NPUGraph(), torch.npu.Stream()
    with torch.npu.graph(graph):
        stream = torch.npu.current_stream()
        torch.npu.graph_task_group_begin(stream)
        attend(1, 1)
        handle = torch.npu.graph_task_group_end(stream)
    for lengths in ([9, 33], [10, 34]):
        with torch.npu.stream(update):
            torch.npu.graph_task_update_begin(update, handle)
            attend(*lengths)
            torch.npu.graph_task_update_end(update)
        update.synchronize()
        graph.replay()
        torch.npu.synchronize()
        _close(out, _expected(q, keys, table, lengths))
