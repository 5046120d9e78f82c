# SPDX-License-Identifier: Apache-2.0
"""Requests are cut where a kernel takes no more queries, and see the keys that they saw whole."""

from ascend_ops import in_pieces


def test_pieces_have_at_most_16_queries_and_end_where_their_request_ends() -> None:
    ends, kv_lengths, requests = in_pieces([1, 41, 41, 57], [9, 100, 0, 16], 16)

    assert ends == [1, 17, 33, 41, 41, 57]
    assert kv_lengths == [9, 76, 92, 100, 0, 16]
    assert requests == [0, 1, 1, 1, 2, 3]
