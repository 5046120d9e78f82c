# SPDX-License-Identifier: Apache-2.0
"""Where a size has no graph, a batch is padded to the next size that has one."""

from collections.abc import Callable

import pytest
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.v1.cudagraph_dispatcher import CudagraphDispatcher

from ascend_vllm_plugin.graph_dispatcher import NpuDispatcher

FULL, PIECEWISE, NONE = CUDAGraphMode.FULL, CUDAGraphMode.PIECEWISE, CUDAGraphMode.NONE
SIZES = [1, 2, 4, 8, 16, 32]
LONGEST = 20
"""Tokens of the longest request."""


@pytest.fixture
def config(make_config: Callable[..., VllmConfig]) -> VllmConfig:
    compilation = {"cudagraph_capture_sizes": SIZES}
    return make_config(max_num_seqs=8, max_model_len=LONGEST, compilation_config=compilation)


def dispatcher(config: VllmConfig, kind: type[CudagraphDispatcher]) -> CudagraphDispatcher:
    made = kind(config)
    made.initialize_cudagraph_keys(CUDAGraphMode.FULL_AND_PIECEWISE, 1)
    return made


def test_with_every_size_it_dispatches_as_vllm_does(config: VllmConfig) -> None:
    ours, vllms = (dispatcher(config, kind) for kind in (NpuDispatcher, CudagraphDispatcher))
    for tokens in range(1, 40):
        for uniform in (True, False):
            expected = vllms.dispatch(num_tokens=tokens, uniform_decode=uniform)
            assert ours.dispatch(num_tokens=tokens, uniform_decode=uniform) == expected
    assert not ours.lacks(40)


@pytest.mark.parametrize(
    ("tokens", "uniform", "mode", "size"),
    [
        (3, True, PIECEWISE, 4),  # no full graph of 4: as vLLM does, the piecewise ones
        (2, True, FULL, 2),
        (2, False, PIECEWISE, 4),  # no piecewise graphs of 2
        (7, True, FULL, 8),
        (5, False, PIECEWISE, 16),  # nor of 8
        (1, True, FULL, 2),  # neither kind of 1
        (1, False, PIECEWISE, 4),
        (17, False, NONE, 17),  # none of 32, and nothing is larger
        (33, False, NONE, 33),
    ],
)
def test_a_batch_goes_to_the_next_size_that_has_a_graph_of_a_mode_that_serves_it(
    config: VllmConfig, tokens: int, uniform: bool, mode: CUDAGraphMode, size: int
) -> None:
    ours = dispatcher(config, NpuDispatcher)
    ours.leave_out(FULL, [1, 4])
    ours.leave_out(PIECEWISE, [1, 2, 8, 32])

    chosen, descriptor = ours.dispatch(num_tokens=tokens, uniform_decode=uniform)

    assert (chosen, descriptor.num_tokens) == (mode, size)


def test_eager_steps_stay_eager(config: VllmConfig) -> None:
    ours = dispatcher(config, NpuDispatcher)
    ours.leave_out(FULL, [4])
    assert ours.dispatch(num_tokens=3, valid_modes={NONE})[0] == NONE


def test_no_batch_is_padded_by_more_than_a_request_is_long(config: VllmConfig) -> None:
    ours = dispatcher(config, NpuDispatcher)
    ours.leave_out(FULL, [1, 2, 4, 8])
    ours.leave_out(PIECEWISE, [1, 2, 4, 8, 16])

    padded = {
        tokens: ours.dispatch(num_tokens=tokens)[1].num_tokens for tokens in (1, 12, 13, 16, 17)
    }

    assert padded == {1: 1, 12: 12, 13: 32, 16: 32, 17: 32}


def test_it_knows_which_batches_a_size_that_was_left_out_would_hold(config: VllmConfig) -> None:
    ours = dispatcher(config, NpuDispatcher)
    ours.leave_out(PIECEWISE, [16])
    assert [ours.lacks(tokens) for tokens in (1, 16, 17)] == [True, True, False]


def test_what_comes_first_is_captured_before_all_else_and_full_graphs_before_pieces(
    config: VllmConfig,
) -> None:
    ours = dispatcher(config, NpuDispatcher)
    ours.comes_first = lambda mode, size: size in (1, 32 if mode == "PIECEWISE" else 8)

    captures = [
        (mode, [each.num_tokens for each in descriptors])
        for mode, descriptors in ours.get_capture_descs()
    ]
    assert captures == [
        (FULL, [8, 1]),
        (PIECEWISE, [32, 1]),
        (PIECEWISE, [16, 8, 4, 2]),
        (FULL, [4, 2]),
    ]
