# SPDX-License-Identifier: Apache-2.0
"""Microseconds per op: torch on the CPU, and torch_npu on the simulator.

The tensors are tiny, so this is the cost of getting an op done. "host" is what the calling thread
spends before it continues; "done" includes the wait for the last of them, divided by their number.
"""

import time
from collections.abc import Callable

import ascend_sim
from _report import parser, report

CALLS = 300
ROUNDS = 5

Op = Callable[[], object]


def main() -> None:
    args = parser(__doc__).parse_args()
    ascend_sim.activate()

    import torch

    torch.set_num_threads(1)
    cpu, npu = _ops("cpu"), _ops("npu")
    rows = []
    for name in cpu:
        _, cpu_done = _microseconds(cpu[name], lambda: None)
        host, done = _microseconds(npu[name], torch.npu.synchronize)
        rows.append(
            {
                "op": name,
                "cpu": cpu_done,
                "npu host": host,
                "npu done": done,
                "npu done / cpu": done / cpu_done,
            }
        )
    report(f"µs per op, best of {ROUNDS} rounds of {CALLS} calls", rows, args.json)


def _ops(device: str) -> dict[str, Op]:
    import ascend_ops
    import torch
    import torch_npu

    floats, out = torch.rand(8, 64, device=device), torch.empty(8, 64, device=device)
    square, weight = torch.rand(64, 64, device=device), torch.rand(64, device=device)
    rows = torch.arange(8, device=device)
    positions = torch.arange(8, device=device)
    starts = torch.arange(9, dtype=torch.int32, device=device)
    table = torch.arange(8, dtype=torch.int32, device=device)[:, None].contiguous()
    slots = torch.empty(16, dtype=torch.int64, device=device)
    functional = torch.nn.functional
    if device == "npu":
        rms_norm = torch_npu.npu_rms_norm  # what the plugin calls; torch's own is several ops there
    else:

        def rms_norm(x, weight):
            return functional.rms_norm(x, (64,), weight)

    return {
        "add": lambda: torch.add(floats, floats),
        "add, out given": lambda: torch.add(floats, floats, out=out),
        "mul by a scalar": lambda: torch.mul(floats, 2.0),
        "copy_": lambda: out.copy_(floats),
        "mm": lambda: torch.mm(floats, square),
        "silu": lambda: functional.silu(floats),
        "softmax": lambda: torch.softmax(floats, -1),
        "rms_norm": lambda: rms_norm(floats, weight),
        "embedding": lambda: functional.embedding(rows, square),
        "argmax": lambda: torch.argmax(floats, -1),
        "ascend_ops.slot_mapping": lambda: ascend_ops.slot_mapping(
            positions, starts, table, 128, slots
        ),
    }


def _microseconds(op: Op, wait: Op) -> tuple[float, float]:
    """Return the time per call until the call returns, and until its work is done."""
    op()
    wait()
    best_host = best_done = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(CALLS):
            op()
        host = time.perf_counter()
        wait()
        done = time.perf_counter()
        best_host = min(best_host, 1e6 * (host - begin) / CALLS)
        best_done = min(best_done, 1e6 * (done - begin) / CALLS)
    return best_host, best_done


if __name__ == "__main__":
    main()
