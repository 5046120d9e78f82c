# SPDX-License-Identifier: Apache-2.0
"""Pooling and its gradients."""

import pytest
import torch.nn.functional as F  # noqa: N812
from _oracle import FLOATS, assert_same, values, with_gradients

PLANES = {
    "average": lambda t: F.avg_pool2d(t, 3),
    "average of padded": lambda t: F.avg_pool2d(t, 3, stride=2, padding=1),
    "average without pad": lambda t: F.avg_pool2d(t, 2, padding=1, count_include_pad=False),
    "average with a divisor": lambda t: F.avg_pool2d(t, (2, 3), divisor_override=5),
    "average, ceiling": lambda t: F.avg_pool2d(t, 2, stride=2, ceil_mode=True),
    "maximum": lambda t: F.max_pool2d(t, 3),
    "maximum of padded": lambda t: F.max_pool2d(t, (3, 2), stride=(2, 1), padding=1),
    "maximum, ceiling": lambda t: F.max_pool2d(t, 2, ceil_mode=True),
    "adaptive average": lambda t: F.adaptive_avg_pool2d(t, (3, 2)),
    "adaptive average of all": lambda t: F.adaptive_avg_pool2d(t, 1),
    "adaptive maximum": lambda t: F.adaptive_max_pool2d(t, (3, 2)),
}
LINES = {
    "average": lambda t: F.avg_pool1d(t, 3, stride=2),
    "maximum": lambda t: F.max_pool1d(t, 3, stride=2, padding=1),
    "adaptive average": lambda t: F.adaptive_avg_pool1d(t, 4),
}
VOLUMES = {
    "average": lambda t: F.avg_pool3d(t, 2),
    "maximum": lambda t: F.max_pool3d(t, 2),
    "adaptive average": lambda t: F.adaptive_avg_pool3d(t, 2),
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", PLANES)
def test_pooling_of_planes_and_its_gradient(name, dtype):
    assert_same(with_gradients(PLANES[name]), values(2, 3, 7, 8, dtype=dtype), scale=2)


@pytest.mark.parametrize("name", PLANES)
def test_pooling_without_a_batch(name):
    assert_same(PLANES[name], values(3, 7, 8))


@pytest.mark.parametrize("name", LINES)
def test_pooling_of_lines(name):
    assert_same(LINES[name], values(2, 3, 11))


@pytest.mark.parametrize("name", VOLUMES)
def test_pooling_of_volumes(name):
    assert_same(VOLUMES[name], values(1, 2, 4, 5, 6))
