# SPDX-License-Identifier: Apache-2.0
"""Embeddings: gradients, bags, and a bound on the norm."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.oracle import assert_same, values, with_gradients

TOKENS = torch.tensor([[1, 4, 1], [0, 5, 4]])


@pytest.mark.parametrize("options", [{}, {"padding_idx": 4}, {"scale_grad_by_freq": True}], ids=str)
def test_gradient_of_an_embedding(options):
    look_up = with_gradients(lambda w: F.embedding(TOKENS.to(w.device), w, **options))
    assert_same(look_up, values(6, 8))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags(mode):
    def run(weight, tokens, offsets):
        return F.embedding_bag(tokens, weight, offsets, mode=mode)

    assert_same(run, values(6, 8), TOKENS.flatten(), torch.tensor([0, 2, 5]))


def test_bags_of_weighted_samples():
    def run(weight, tokens, samples):
        return F.embedding_bag(tokens, weight, per_sample_weights=samples, mode="sum")

    assert_same(run, values(6, 8), TOKENS, values(2, 3, seed=1))


def test_rows_that_are_used_are_bounded_in_place():
    def run(weight, tokens):
        return F.embedding(tokens, weight, max_norm=1.0), weight

    assert_same(run, values(6, 8), TOKENS)
