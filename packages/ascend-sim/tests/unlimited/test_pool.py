# SPDX-License-Identifier: Apache-2.0
"""Pooling beyond what a device takes: windows with gaps."""

import pytest
import torch.nn.functional as F  # noqa: N812
from _oracle import FLOATS, assert_same, values, with_gradients


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_dilated_maxima_and_their_gradient(dtype):
    dilated = with_gradients(lambda t: F.max_pool2d(t, 2, stride=1, dilation=(2, 3)))
    assert_same(dilated, values(2, 3, 7, 8, dtype=dtype), scale=2)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_dilated_maxima_of_volumes(dtype):
    def dilated(t):
        return F.max_pool3d(t, 2, stride=1, dilation=(1, 2, 3))

    assert_same(dilated, values(2, 3, 5, 6, 7, dtype=dtype))
