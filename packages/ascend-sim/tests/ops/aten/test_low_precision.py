# SPDX-License-Identifier: Apache-2.0
"""What adds up many numbers in half precision does so in float32 and rounds once, as a device does.

Given 4096 ones, a sum in bf16 stalls at 256, where 1 is half a unit, and one in fp16 at 2048.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

N = 4096
HALVES = [torch.bfloat16, torch.float16]

Sum = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From 4096 ones and as many zeros of int64, all on one device, to what is compared."""

CASES: dict[str, Sum] = {}


def gradient(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The gradient by `x`, where every element of the result counts once."""
    x = x.detach().requires_grad_(True)
    result = function(x)
    result.backward(torch.ones_like(result))
    return x.grad


# --- by index ------------------------------------------------------------------------------------
CASES |= {
    "index_add": lambda x, i: x.new_zeros(4).index_add(0, i, x),
    "index_add_": lambda x, i: x.new_zeros(4).index_add_(0, i, x, alpha=0.5),
    "index_add_ of rows": lambda x, i: x.new_zeros(3, 4).index_add_(1, i, x.expand(3, N)),
    "index_put_": lambda x, i: x.new_zeros(4).index_put_((i,), x, accumulate=True),
    "index_put_ of rows": lambda x, i: x.new_zeros(4, 2).index_put_(
        (i,), x.unsqueeze(1).expand(N, 2), accumulate=True
    ),
    "put_": lambda x, i: x.new_zeros(4).put_(i, x, accumulate=True),
    "scatter_add_": lambda x, i: x.new_zeros(4).scatter_add_(0, i, x),
    "scatter_add_ of rows": lambda x, i: x.new_zeros(2, 4).scatter_add_(
        1, i.expand(2, N), x.expand(2, N)
    ),
    "scatter_ add": lambda x, i: x.new_zeros(4).scatter_(0, i, x, reduce="add"),
    "scatter_ add of a number": lambda x, i: x.new_zeros(4).scatter_(0, i, 1.0, reduce="add"),
    "scatter_ multiply": lambda x, i: x.new_ones(4).scatter_(
        0, i[:300], x[:300] + 2.0**-7, reduce="multiply"
    ),
    "scatter_reduce sum": lambda x, i: x.new_zeros(4).scatter_reduce(0, i, x, "sum"),
    "scatter_reduce mean": lambda x, i: x.new_zeros(4).scatter_reduce(0, i, x * 3, "mean"),
    "scatter_reduce prod": lambda x, i: x.new_ones(4).scatter_reduce(
        0, i[:300], x[:300] + 2.0**-7, "prod"
    ),
    "scatter_reduce_ without itself": lambda x, i: x.new_zeros(4).scatter_reduce_(
        0, i, x, "sum", include_self=False
    ),
    "index_select, gradient": lambda x, i: gradient(lambda t: t.index_select(0, i), x[:4]),
    "index, gradient": lambda x, i: gradient(lambda t: t[i], x[:4]),
    "gather, gradient": lambda x, i: gradient(lambda t: t.gather(0, i), x[:4]),
    "take, gradient": lambda x, i: gradient(lambda t: t.take(i), x[:4]),
    "embedding, gradient": lambda x, i: gradient(lambda t: F.embedding(i, t), x.new_ones(4, 8)),
    "embedding, gradient by frequency": lambda x, i: gradient(
        lambda t: F.embedding(i, t, scale_grad_by_freq=True), x.new_ones(4, 8)
    ),
}


# Its gradient by the table torch_npu leaves to PyTorch on the host, which rounds every step.
CASES |= {
    "embedding_bag sum": lambda x, i: F.embedding_bag(i, x.new_ones(4, 8), i[:1], mode="sum"),
    "embedding_bag mean": lambda x, i: F.embedding_bag(i, x.new_ones(4, 8), i[:1], mode="mean"),
    "embedding_bag, gradient by the weights of samples": lambda x, i: gradient(
        lambda t: F.embedding_bag(i[:4], x.new_ones(2, N), i[:1], mode="sum", per_sample_weights=t),
        x[:4],
    ),
}

# --- reductions and scans ------------------------------------------------------------------------
CASES |= {
    "sum": lambda x, i: x.sum(),
    "sum of columns": lambda x, i: x.view(N, 1).expand(N, 3).sum(0),
    "nansum": lambda x, i: x.nansum(),
    "mean": lambda x, i: x.view(N, 1).expand(N, 3).mean(0),
    "prod": lambda x, i: (x[:300] + 2.0**-7).prod(),
    "cumsum": lambda x, i: x.cumsum(0)[::512],
    "cumsum of columns": lambda x, i: x.view(N, 1).expand(N, 3).cumsum(0)[::512],
    "cumprod": lambda x, i: (x[:300] + 2.0**-7).cumprod(0),
    "logsumexp": lambda x, i: x.logsumexp(0),
    "logcumsumexp": lambda x, i: x.logcumsumexp(0)[::512],
    "var": lambda x, i: torch.stack([x, x * 3]).var(),
    "std of columns": lambda x, i: torch.cat([x, x * 3]).view(-1, 1).expand(-1, 2).std(0),
    "var_mean": lambda x, i: torch.stack(torch.var_mean(torch.cat([x, x * 3]))),
    "norm 1": lambda x, i: x.norm(1),
    "norm 2": lambda x, i: (x * 2).norm(),
    "norm of columns": lambda x, i: torch.linalg.vector_norm(x.view(N, 1).expand(N, 3), 1, dim=0),
    "norm 3": lambda x, i: x.norm(3),
    "renorm": lambda x, i: x.view(1, N).renorm(1, 0, 64.0)[0, :4],
    "foreach norm": lambda x, i: torch.stack(torch._foreach_norm([x, x * 2], 1)),
    "clip_grad_norm": lambda x, i: clipped(x),
    "softmax": lambda x, i: x.softmax(0)[:4] * N,
    "softmax, gradient": lambda x, i: (
        gradient(lambda t: t.softmax(0) * x, torch.cat([x[:1] + 8, x[1:]]))[:1] + 1
    ),
    "log_softmax": lambda x, i: x.log_softmax(0)[:4],
    "expand, gradient": lambda x, i: gradient(lambda t: t.expand(N, 4), x[:4]),
    "repeat, gradient": lambda x, i: gradient(lambda t: t.repeat(N), x[:1]),
    "broadcast, gradient": lambda x, i: gradient(lambda t: x.view(N, 1) * t, x[:4]),
    "bincount": lambda x, i: torch.bincount(i, x.float()).to(x.dtype),
    "einsum": lambda x, i: torch.einsum("i,i->", x, x),
}


def clipped(x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_(True)
    x.grad = torch.ones_like(x)
    return torch.nn.utils.clip_grad_norm_([x], 1.0, norm_type=1.0)


# --- products and layers -------------------------------------------------------------------------
CASES |= {
    "dot": lambda x, i: x.dot(x),
    "mv": lambda x, i: x.expand(3, N).mv(x),
    "mm": lambda x, i: x.view(1, N).expand(2, N) @ x.view(N, 1).expand(N, 3),
    "addmm": lambda x, i: torch.addmm(x[:3], x.view(1, N), x.view(N, 1).expand(N, 3)),
    "addmv": lambda x, i: torch.addmv(x[:2], x.expand(2, N), x),
    "bmm": lambda x, i: torch.bmm(x.expand(2, 1, N), x.view(1, N, 1).expand(2, N, 1)),
    "baddbmm": lambda x, i: torch.baddbmm(
        x[:1], x.expand(2, 1, N), x.view(1, N, 1).expand(2, N, 1)
    ),
    "linear, gradient by weight": lambda x, i: gradient(
        lambda t: F.linear(x.view(N, 1), t), x.new_ones(3, 1)
    ),
    "linear, gradient by bias": lambda x, i: gradient(
        lambda t: F.linear(x.view(N, 1), x.new_ones(3, 1), t), x[:3]
    ),
    "conv2d": lambda x, i: F.conv2d(x.view(1, N, 1, 1), x.view(1, N, 1, 1)),
    "conv2d, gradient by weight": lambda x, i: gradient(
        lambda t: F.conv2d(x.view(1, 1, 64, 64), t), x.new_ones(2, 1, 1, 1)
    ),
    "conv2d, gradient by bias": lambda x, i: gradient(
        lambda t: F.conv2d(x.view(1, 1, 64, 64), x.new_ones(2, 1, 1, 1), t), x[:2]
    ),
    "conv2d, gradient by input": lambda x, i: gradient(
        lambda t: F.conv2d(t, x.view(N, 1, 1, 1)), x.new_ones(1, 1, 1, 1)
    ),
    "avg_pool2d": lambda x, i: F.avg_pool2d(x.view(1, 1, 64, 64) * 3, 64),
    "avg_pool2d, gradient": lambda x, i: gradient(
        lambda t: F.avg_pool2d(t, 32, stride=1, divisor_override=1), x.view(1, 1, 64, 64)
    ),
    "adaptive_avg_pool2d": lambda x, i: F.adaptive_avg_pool2d(x.view(1, 1, 64, 64) * 3, 1),
    "max_pool2d, gradient": lambda x, i: gradient(
        lambda t: F.max_pool2d(t, 32, stride=1), peak(x).view(1, 1, 64, 64)
    ),
    "upsample nearest, gradient": lambda x, i: gradient(
        lambda t: F.interpolate(t, (64, 64), mode="nearest"), x.new_ones(1, 1, 1, 1)
    ),
    "upsample bilinear, gradient": lambda x, i: gradient(
        lambda t: F.interpolate(t, (64, 64), mode="bilinear"), x.new_ones(1, 1, 1, 1)
    ),
    "grid_sample, gradient": lambda x, i: gradient(
        lambda t: F.grid_sample(t, x.new_zeros(1, 64, 64, 2), align_corners=True),
        x.new_ones(1, 1, 3, 3),
    ),
    "fold": lambda x, i: F.fold(x.new_ones(1, 1024, 1089), (64, 64), 32),
    "unfold, gradient": lambda x, i: gradient(lambda t: F.unfold(t, 32), x.view(1, 1, 64, 64)),
    "Tensor.unfold, gradient": lambda x, i: gradient(lambda t: t.unfold(0, 2048, 1), x),
    "pad by the edge, gradient": lambda x, i: gradient(
        lambda t: F.pad(t, (31, 32, 31, 32), "replicate"), x.new_ones(1, 1, 1, 1)
    ),
    "avg_pool3d, gradient": lambda x, i: gradient(
        lambda t: F.avg_pool3d(t, 8, stride=1, divisor_override=1), x.view(1, 1, 16, 16, 16)
    ),
    "adaptive_max_pool2d, gradient": lambda x, i: gradient(
        lambda t: F.adaptive_max_pool2d(t, 33), peak(x).view(1, 1, 64, 64)
    ),
    "upsample linear, gradient": lambda x, i: gradient(
        lambda t: F.interpolate(t, N, mode="linear"), x.new_ones(1, 1, 1)
    ),
    "upsample bicubic, gradient": lambda x, i: gradient(
        lambda t: F.interpolate(t, (64, 64), mode="bicubic"), x.new_ones(1, 1, 1, 1)
    ),
    "upsample trilinear, gradient": lambda x, i: gradient(
        lambda t: F.interpolate(t, (16, 16, 16), mode="trilinear"), x.new_ones(1, 1, 1, 1, 1)
    ),
    "upsample nearest of volumes, gradient": lambda x, i: gradient(
        lambda t: F.interpolate(t, (16, 16, 16), mode="nearest"), x.new_ones(1, 1, 1, 1, 1)
    ),
    "conv_transpose2d, gradient by weight": lambda x, i: gradient(
        lambda t: F.conv_transpose2d(x.view(1, 1, 64, 64), t), x.new_ones(1, 2, 1, 1)
    ),
    "layer_norm, gradient by weight": lambda x, i: gradient(
        lambda t: F.layer_norm(pairs(x), (2,), t), x[:2]
    ),
    "layer_norm, gradient by bias": lambda x, i: gradient(
        lambda t: F.layer_norm(pairs(x), (2,), x[:2], t), x[:2]
    ),
    "rms_norm, gradient by weight": lambda x, i: gradient(
        lambda t: F.rms_norm(pairs(x), (2,), t), x[:2]
    ),
    "group_norm, gradient by weight": lambda x, i: gradient(
        lambda t: F.group_norm(pairs(x), 1, t), x[:2]
    ),
    "batch_norm, gradient by bias": lambda x, i: gradient(
        lambda t: F.batch_norm(pairs(x), None, None, x[:2], t, training=True), x[:2]
    ),
    "prelu, gradient by weight": lambda x, i: gradient(lambda t: F.prelu(-x.view(N, 1), t), x[:1]),
}


def peak(x: torch.Tensor) -> torch.Tensor:
    """Ones, and a larger one that every window of 32 has."""
    result = x.clone().view(64, 64)
    result[31:33, 31:33] = x.new_tensor([[2.0, 1.0], [1.0, 1.0]])
    return result


def pairs(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x, -x], 1)


# --- losses --------------------------------------------------------------------------------------
CASES |= {
    "mse_loss": lambda x, i: F.mse_loss(x, x * 2, reduction="sum"),
    "l1_loss": lambda x, i: F.l1_loss(x, x * 2, reduction="sum"),
    "smooth_l1_loss": lambda x, i: F.smooth_l1_loss(x, x * 3, reduction="sum"),
    "huber_loss": lambda x, i: F.huber_loss(x, x * 3, reduction="sum"),
    "kl_div": lambda x, i: F.kl_div(x * 0, x, reduction="sum"),
    "binary_cross_entropy": lambda x, i: F.binary_cross_entropy(x * 0.5, x, reduction="sum"),
    "binary_cross_entropy_with_logits": lambda x, i: F.binary_cross_entropy_with_logits(
        x * 0, x, reduction="sum"
    ),
    "nll_loss": lambda x, i: F.nll_loss(-x.view(N, 1).expand(N, 2), i, reduction="sum"),
    "nll_loss mean": lambda x, i: F.nll_loss(-3 * x.view(N, 1).expand(N, 2), i),
    "cross_entropy": lambda x, i: F.cross_entropy(x.view(N, 1).expand(N, 2), i, reduction="sum"),
    "soft_margin_loss": lambda x, i: F.soft_margin_loss(x * 0, x, reduction="sum"),
}


@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter")
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_sums_of_many_are_those_of_float32(name, dtype):
    function, zeros = CASES[name], torch.zeros(N, dtype=torch.int64)
    expected = function(torch.ones(N), zeros).to(dtype)
    actual = function(torch.ones(N, dtype=dtype).npu(), zeros.npu()).cpu()
    torch.testing.assert_close(actual, expected, rtol=torch.finfo(dtype).eps, atol=0)
