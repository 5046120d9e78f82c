# SPDX-License-Identifier: Apache-2.0
"""What a reduction must give, in plain numpy. Any process can make any rank's data."""

from typing import Any

import numpy as np
from hccl_abi import MAX, MIN, PROD, SUM

__all__ = ["bf16", "data", "fp32", "reduced", "stored"]

_COMBINE = {SUM: np.add, PROD: np.multiply, MAX: np.maximum, MIN: np.minimum}


def bf16(values: Any) -> Any:
    """Round fp32 to bf16, to nearest and ties to even; held as uint16."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def fp32(values: Any) -> Any:
    """Widen bf16, held as uint16, to fp32."""
    return (np.asarray(values, dtype=np.uint32) << 16).view(np.float32)


def stored(dtype: str) -> Any:
    """Return the type in which numpy holds values of ``dtype``."""
    return np.dtype(np.uint16 if dtype == "bfloat16" else dtype)


def data(rank: int, count: int, dtype: str) -> Any:
    """Return the values that a rank brings along."""
    random = np.random.default_rng(1000 * rank + count)
    if dtype == "bfloat16":
        return bf16(random.uniform(-2, 2, count))
    if np.dtype(dtype).kind == "f":
        return random.uniform(-2, 2, count).astype(dtype)
    return random.integers(-100, 100, count).astype(dtype)


def reduced(inputs: list[Any], dtype: str, op: int) -> Any:
    """Reduce in the order of the ranks; halves in fp32, rounded once."""
    wide = {"bfloat16": np.float32, "float16": np.float32}.get(dtype, dtype)
    inputs = [fp32(i) if dtype == "bfloat16" else i.astype(wide) for i in inputs]
    total = inputs[0]
    for other in inputs[1:]:
        total = _COMBINE[op](total, other, dtype=wide)
    return bf16(total) if dtype == "bfloat16" else total.astype(dtype)
