# SPDX-License-Identifier: Apache-2.0
"""Pooling and its gradients."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.aclnn import call
from support.oracle import FLOATS, assert_same, values, with_gradients

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
    "average of padded": lambda t: F.avg_pool3d(t, (2, 3, 2), stride=(1, 2, 3), padding=(0, 1, 1)),
    "average without pad": lambda t: F.avg_pool3d(t, 2, padding=1, count_include_pad=False),
    "average with a divisor": lambda t: F.avg_pool3d(t, (1, 2, 3), divisor_override=5),
    "average, ceiling": lambda t: F.avg_pool3d(t, 2, ceil_mode=True),
    "adaptive average": lambda t: F.adaptive_avg_pool3d(t, (2, 3, 4)),
    "adaptive maximum": lambda t: F.adaptive_max_pool3d(t, (2, 3, 4)),
}
MAXIMA_OF_VOLUMES = {
    "maximum": lambda t: F.max_pool3d(t, 2),
    "maximum of padded": lambda t: F.max_pool3d(t, (2, 3, 2), stride=(1, 2, 3), padding=(0, 1, 1)),
    "maximum, ceiling": lambda t: F.max_pool3d(t, 2, ceil_mode=True),
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


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", VOLUMES)
def test_pooling_of_volumes_and_its_gradient(name, dtype):
    def run(t):
        # The CPU has averages of volumes in float32 only.
        return VOLUMES[name](t if t.device.type == "npu" else t.float()).to(t.dtype)

    assert_same(with_gradients(run), values(2, 3, 4, 5, 7, dtype=dtype), scale=2)


@pytest.mark.parametrize("name", VOLUMES)
def test_pooling_of_a_volume_that_is_strided(name):
    assert_same(VOLUMES[name], values(7, 4, 3, 5).permute(2, 1, 3, 0))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", MAXIMA_OF_VOLUMES)
def test_maxima_of_volumes(name, dtype):
    # Their gradient is an operator by name.
    assert_same(MAXIMA_OF_VOLUMES[name], values(2, 3, 4, 5, 7, dtype=dtype))


def max_pool_with_indices(x, *arguments):
    """Pool with the operator that torch_npu prefers where it is told to be like other devices."""
    maxima, places = F.max_pool2d(x.cpu(), *arguments, return_indices=True)
    if x.device.type == "npu":
        maxima, places = torch.zeros_like(maxima).npu(), torch.zeros_like(places).npu()
        call("aclnnMaxPool2dWithIndices", x, *arguments, maxima, places)
    return maxima, places


# kernel, stride, padding, dilation, ceil_mode
WINDOWS = [
    ([3, 2], [2, 1], [1, 0], [1, 1], False),
    ([2, 3], [1, 2], [0, 1], [1, 1], False),
    ([2, 2], [2, 3], [0, 0], [1, 1], True),
]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_maxima_and_their_places_and_the_gradient_by_them(window, channels_last, dtype):
    x = values(2, 3, 7, 8, dtype=dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    assert_same(lambda t: max_pool_with_indices(t, *window), x)

    leaf = x.float().requires_grad_()  # a device adds up in float32
    maxima, places = F.max_pool2d(leaf, *window, return_indices=True)
    grad = values(*maxima.shape, dtype=dtype, seed=1)
    maxima.backward(grad.float())
    actual = torch.zeros_like(x).npu()
    call(
        "aclnnMaxPool2dWithIndicesBackward",
        *(grad.npu(), x.npu(), places.int().npu(), *window, actual),
    )
    torch.testing.assert_close(actual.cpu(), leaf.grad.to(dtype))


@pytest.mark.device_limits("off")  # windows with gaps
class TestDilatedWindows:
    @pytest.mark.parametrize("dtype", FLOATS, ids=str)
    def test_maxima_and_their_gradient(self, dtype):
        dilated = with_gradients(lambda t: F.max_pool2d(t, 2, stride=1, dilation=(2, 3)))
        assert_same(dilated, values(2, 3, 7, 8, dtype=dtype), scale=2)

    @pytest.mark.parametrize("dtype", FLOATS, ids=str)
    def test_maxima_of_volumes(self, dtype):
        def dilated(t):
            return F.max_pool3d(t, 2, stride=1, dilation=(1, 2, 3))

        assert_same(dilated, values(2, 3, 5, 6, 7, dtype=dtype))
