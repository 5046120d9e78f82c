# SPDX-License-Identifier: Apache-2.0
"""Runs the same torch code on the simulated NPU and on the CPU and compares."""

from collections.abc import Callable
from typing import Any

import torch

__all__ = [
    "DTYPES",
    "FLOATS",
    "INTS",
    "STRIDES",
    "assert_same",
    "run_and_wait",
    "strided",
    "to_npu",
    "values",
    "with_gradients",
]

FLOATS = [torch.float32, torch.bfloat16, torch.float16]
INTS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
DTYPES = [*FLOATS, *INTS, torch.bool]
STRIDES = ["contiguous", "transposed", "every second", "offset", "expanded"]

# A result may differ from the CPU's own by the rounding of its dtype.
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}


def values(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    """Return numbers of both signs for floats, small non-negative ones for integers."""
    generator = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    return torch.randint(0, 2 if dtype == torch.bool else 9, shape, generator=generator).to(dtype)


def strided(tensor: torch.Tensor, kind: str) -> torch.Tensor:
    """Return a matrix with `tensor`'s elements (but for "expanded") behind other strides."""
    rows, columns = tensor.shape
    match kind:
        case "contiguous":
            return tensor
        case "transposed":
            return tensor.t().contiguous().t()
        case "every second":
            return torch.stack([tensor, tensor + 1], -1).flatten(1)[:, ::2]
        case "offset":
            return torch.cat([tensor[:1] + 1, tensor])[1:]
        case "expanded":
            return tensor[:1].expand(rows, columns)
    raise ValueError(kind)


def to_npu(value: Any) -> Any:
    """Copy tensors, also within lists and tuples, to the NPU with their strides and offset."""
    if isinstance(value, list | tuple):
        return type(value)(to_npu(item) for item in value)
    if not isinstance(value, torch.Tensor):
        return value
    whole = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage())
    return whole.npu().as_strided(value.size(), value.stride(), value.storage_offset())


def run_and_wait(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call `function` on the NPU and wait, so that an error of its first phase is raised here."""
    result = function(*arguments, **keywords)
    torch.npu.synchronize()
    return result


def _to_cpu(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_to_cpu(item) for item in value]
    return value.cpu() if isinstance(value, torch.Tensor) else value


def assert_same(
    function: Callable[..., Any], *arguments: Any, exact: bool = False, scale: float = 1.0
) -> None:
    """Check that `function` gives the CPU's result, shape and dtype on the NPU.

    Parameters
    ----------
    exact
        Bit equality; otherwise the tolerance of the result's dtype, times `scale`.
    """
    on_npu = to_npu(arguments)
    expected = _to_cpu(function(*(_clone(a) for a in arguments)))
    actual = _to_cpu(function(*on_npu))
    tolerance = {"rtol": 0, "atol": 0} if exact else None
    for got, want in zip(_flat(actual), _flat(expected), strict=True):
        if not isinstance(want, torch.Tensor):
            assert got == want
            continue
        limit = _TOLERANCE.get(want.dtype, 0) * scale
        torch.testing.assert_close(
            got, want, equal_nan=True, **(tolerance or {"rtol": limit, "atol": limit})
        )


def with_gradients(function: Callable[..., torch.Tensor]) -> Callable[..., list[torch.Tensor]]:
    """Return a function that gives the result of `function` and its gradients by every float."""

    def run(*arguments: Any) -> list[torch.Tensor]:
        leaves = [
            a.detach().requires_grad_()
            if isinstance(a, torch.Tensor) and a.is_floating_point()
            else a
            for a in arguments
        ]
        result = function(*leaves)
        # Unequal weights, so that a gradient in the wrong place shows.
        weights = torch.linspace(0.5, 1.5, result.numel()).view(result.shape)
        (result * weights.to(result.device, result.dtype)).sum().backward()
        grads = [leaf.grad for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.is_leaf]
        return [result.detach(), *(grad for grad in grads if grad is not None)]

    return run


def _clone(value: Any) -> Any:
    """Copy what an in-place function would change, keeping its strides."""
    if isinstance(value, list | tuple):
        return type(value)(_clone(item) for item in value)
    if not isinstance(value, torch.Tensor):
        return value
    whole = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage()).clone()
    return whole.as_strided(value.size(), value.stride(), value.storage_offset())


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in _flat(item)]
    return [value]
