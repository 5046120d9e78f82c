# SPDX-License-Identifier: Apache-2.0
"""A stack of MLP blocks, eager and through graphs, with the time per call of both.

Run it on an NPU, or without one as `ascend-sim run -- python examples/graphed_mlp.py`.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch_npu  # noqa: F401  (registers the device "npu")

from ascend_aclgraph import graphed


class Block(torch.nn.Module):
    """The MLP half of a transformer block."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(hidden)
        self.up = torch.nn.Linear(hidden, 4 * hidden)
        self.down = torch.nn.Linear(4 * hidden, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.nn.functional.silu(self.up(self.norm(x))))


def microseconds(call: Callable[[], object], repeats: int) -> float:
    """Mean time of a call, with what it starts on the device."""
    call()
    torch.npu.synchronize()
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    torch.npu.synchronize()
    return (time.perf_counter() - began) / repeats * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()

    torch.manual_seed(0)
    model = torch.nn.Sequential(*(Block(options.hidden) for _ in range(options.layers))).to("npu")
    largest = torch.randn(8, options.hidden, device="npu")
    with (
        torch.no_grad(),
        graphed(model, batch_sizes=(1, 2, 4, 8), example_inputs=(largest,)) as fast,
    ):
        print(f"{'batch':>5} {'eager us':>10} {'graph us':>10} {'speed-up':>8}  results")
        for rows in (1, 2, 3, 4, 8):
            x = largest[:rows].contiguous()
            torch.testing.assert_close(fast(x), model(x))
            eager = microseconds(lambda x=x: model(x), options.repeats)
            graph = microseconds(lambda x=x: fast(x), options.repeats)
            print(f"{rows:>5} {eager:>10.0f} {graph:>10.0f} {eager / graph:>8.2f}  equal")
        for name, value in fast.stats.as_dict().items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
