# SPDX-License-Identifier: Apache-2.0
"""Interpolation and its gradients."""

import pytest
import torch.nn.functional as F  # noqa: N812
from _oracle import FLOATS, assert_same, values, with_gradients

SHAPES = {1: (2, 3, 7), 2: (2, 3, 7, 5), 3: (1, 2, 3, 4, 5)}
MODES = [
    *((mode, dims) for dims in SHAPES for mode in ("nearest", "nearest-exact")),
    ("linear", 1),
    ("bilinear", 2),
    ("bicubic", 2),
    ("trilinear", 3),
]
SMOOTH = [case for case in MODES if "nearest" not in case[0]]


@pytest.mark.parametrize("size", ["size", "factor"])
@pytest.mark.parametrize(("mode", "dims"), MODES)
def test_interpolation_and_its_gradient(mode, dims, size):
    by = {"size": (6, 9, 4)[:dims]} if size == "size" else {"scale_factor": 1.7}
    assert_same(
        with_gradients(lambda t: F.interpolate(t, mode=mode, **by)), values(*SHAPES[dims]), scale=4
    )


@pytest.mark.parametrize(("mode", "dims"), SMOOTH)
def test_corners_that_are_aligned(mode, dims):
    assert_same(
        lambda t: F.interpolate(t, size=(6, 9, 4)[:dims], mode=mode, align_corners=True),
        values(*SHAPES[dims]),
        scale=4,
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_interpolation_of_other_dtypes(mode, dtype):
    assert_same(lambda t: F.interpolate(t, size=(9, 4), mode=mode), values(1, 2, 5, 7, dtype=dtype))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiased_interpolation(mode):
    assert_same(
        lambda t: F.interpolate(t, size=(4, 3), mode=mode, antialias=True),
        values(1, 2, 9, 7),
        scale=4,
    )
