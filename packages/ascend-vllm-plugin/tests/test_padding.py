# SPDX-License-Identifier: Apache-2.0
"""Requests cover all rows of a graph: that is what the attention kernel demands of its lengths."""

import pytest
import torch
from vllm.config import CompilationConfig, CUDAGraphMode
from vllm.v1.attention.backend import CommonAttentionMetadata

from ascend_vllm_plugin.attention import NpuAttentionMetadataBuilder

MAX_REQUESTS = 4


class Config:
    """What the builder reads of vLLM's configuration."""

    class scheduler_config:  # noqa: N801
        max_num_seqs = MAX_REQUESTS

    def __init__(self, mode: CUDAGraphMode) -> None:
        self.compilation_config = CompilationConfig(cudagraph_mode=mode)


def batch(
    queries: list[int],
    context: list[int],
    *,
    requests: int | None = None,
    tokens: int | None = None,
) -> CommonAttentionMetadata:
    """A batch as vLLM pads it: to `requests` requests and `tokens` tokens."""
    requests, tokens = requests or len(queries), tokens or sum(queries)
    padded = [*queries, *[0] * (requests - len(queries))]
    ends = torch.tensor([0, *padded]).cumsum(0).int()
    lengths = [query + before for query, before in zip(queries, context, strict=True)]
    kv_lengths = torch.tensor([*lengths, *[0] * (requests - len(queries))], dtype=torch.int32)
    blocks = torch.arange(1, requests * 2 + 1, dtype=torch.int32).view(requests, 2)
    blocks[len(queries) :] = 0
    return CommonAttentionMetadata(
        query_start_loc=ends,
        query_start_loc_cpu=ends,
        seq_lens=kv_lengths,
        seq_lens_cpu_upper_bound=kv_lengths,
        num_reqs=requests,
        num_actual_tokens=tokens,
        max_query_len=max(queries),
        max_seq_len=max(lengths),
        block_table_tensor=blocks,
        slot_mapping=torch.zeros(tokens, dtype=torch.int64),
    )


def builder(mode: CUDAGraphMode) -> NpuAttentionMetadataBuilder:
    return NpuAttentionMetadataBuilder(None, [], Config(mode), torch.device("cpu"))


def test_without_padding_lengths_are_those_of_the_requests() -> None:
    metadata = builder(CUDAGraphMode.NONE).build(0, batch([3, 1], [0, 9]))
    assert metadata.lengths == {"actual_seq_lengths": [3, 4], "actual_seq_lengths_kv": [3, 10]}


def test_in_a_decode_graph_each_padding_request_has_one_row() -> None:
    step = batch([1, 1], [5, 9], requests=4, tokens=4)
    metadata = builder(CUDAGraphMode.FULL_DECODE_ONLY).build(0, step)
    assert metadata.query_ends == [1, 2, 3, 4]
    assert metadata.kv_lengths == [6, 10, 1, 1]
    assert metadata.num_real_tokens == 2


@pytest.mark.parametrize(
    ("queries", "tokens", "query_ends", "kv_lengths"),
    [
        ([3, 1, 2, 2], 16, [3, 4, 6, 8, 16], [3, 1, 2, 2, 8]),  # full of requests: the spare one
        ([3, 1], 16, [3, 4, 14, 15, 16], [3, 1, 10, 1, 1]),
        ([7, 1], 8, [7, 8, 8, 8, 8], [7, 1, 0, 0, 0]),  # full of tokens: nothing to cover
    ],
)
def test_in_a_mixed_graph_padding_requests_cover_the_rest(
    queries: list[int], tokens: int, query_ends: list[int], kv_lengths: list[int]
) -> None:
    step = batch(queries, [0] * len(queries), requests=MAX_REQUESTS, tokens=tokens)
    metadata = builder(CUDAGraphMode.FULL).build(0, step)
    assert metadata.query_ends == query_ends
    assert metadata.kv_lengths == kv_lengths
    assert metadata.block_table.shape[0] == len(query_ends)


def test_the_block_table_of_a_mixed_graph_keeps_its_address_and_forgets_the_last_step() -> None:
    mixed = builder(CUDAGraphMode.FULL)
    first = mixed.build(0, batch([3, 3, 3, 3], [0] * 4, tokens=16)).block_table
    address, spare_row = first.data_ptr(), first[-1].tolist()
    second = mixed.build(0, batch([5, 4], [0] * 2, requests=4, tokens=16)).block_table
    assert spare_row == [0, 0]
    assert second.data_ptr() == address
    assert second[2:].tolist() == [[0, 0]] * 3
    assert second[:2].tolist() == [[1, 2], [3, 4]]
