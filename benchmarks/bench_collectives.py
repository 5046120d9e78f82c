# SPDX-License-Identifier: Apache-2.0
"""All-reduce between two processes: microseconds, compared with memcpy of the same size and gloo.

The simulator's libhccl is called through ctypes, so that nothing but it is measured: "one" is a
call and the wait for its end, "in a row" one of ten that are waited for together. memcpy is
measured in both processes at once, as the all-reduce runs in both: with the same buffers every
time, which are then in the cache, and with other ones every time, which are not. The all-reduce has
the latter's buffers in its second row.
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ctypes import byref, c_void_p
from pathlib import Path
from typing import Any

from _report import parser, report

SIZES = (4 << 10, 64 << 10, 1 << 20, 8 << 20)
RANKS = 2
ROUNDS = 100
COLD_BYTES = 128 << 20  # of buffers in turn: more than a cache holds
FP32, SUM = 4, 0


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--rank", type=int, help="for the processes of the benchmark")
    arguments.add_argument("--meeting", type=Path, help="for the processes of the benchmark")
    args = arguments.parse_args()
    if args.rank is None:
        report(
            f"µs per all-reduce of fp32 between two processes, best of {ROUNDS}",
            _run_ranks(),
            args.json,
        )
    else:
        print(json.dumps(_rank(args.rank, args.meeting)))


def _run_ranks() -> list[dict[str, Any]]:
    """Start the ranks; the slower one counts."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--meeting", folder, "--rank"]
        environment = os.environ | {
            "ASCEND_SIM_CONFIG": json.dumps({"devices": RANKS}),
            "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
            "OMP_NUM_THREADS": "1",
        }
        processes = [
            subprocess.Popen([*command, str(rank)], env=environment, stdout=subprocess.PIPE)
            for rank in range(RANKS)
        ]
        outputs = [process.communicate()[0] for process in processes]
        if any(process.returncode for process in processes):
            raise SystemExit("a rank failed; its error is above")
    times = [json.loads(output) for output in outputs]
    rows = []
    for case in zip(*times, strict=True):
        slowest = {key: max(rank[key] for rank in case) for key in case[0] if key != "case"}
        rows.append(
            {
                "case": case[0]["case"],
                **slowest,
                "in a row / memcpy": slowest["in a row"] / slowest["memcpy"],
            }
        )
    return rows


def _rank(rank: int, meeting: Path) -> list[dict[str, Any]]:
    import torch
    import torch.distributed as dist

    hccl = _Hccl(rank, meeting)
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}/gloo", rank=rank, world_size=RANKS
    )
    rows = []
    for size in SIZES:
        for cold in (False, True) if size == 1 << 20 else (False,):
            count = max(COLD_BYTES // size, 2) if cold else 2
            buffers = [hccl.buffer(size) for _ in range(count)]
            turn = iter(range(10**9))

            def pair(buffers=buffers, turn=turn) -> tuple[c_void_p, c_void_p]:
                at = next(turn)
                return buffers[(2 * at) % len(buffers)], buffers[(2 * at + 1) % len(buffers)]

            def reduce(pair=pair, size=size) -> None:
                hccl.all_reduce(*pair(), size)

            def copy(pair=pair, size=size) -> None:
                ctypes.memmove(*pair(), size)

            tensor = torch.ones(size // 4)
            one = _best(lambda reduce=reduce: (reduce(), hccl.wait()), hccl.barrier)
            ten = _best(
                lambda reduce=reduce: ([reduce() for _ in range(10)], hccl.wait()), hccl.barrier
            )
            rows.append(
                {
                    "case": f"{size >> 10} KiB" + (", cold buffers" if cold else ""),
                    "one": one,
                    "in a row": ten / 10,
                    "memcpy": _best(copy, hccl.barrier),
                    "gloo": _best(lambda tensor=tensor: dist.all_reduce(tensor), hccl.barrier),
                }
            )
            for buffer in buffers:
                hccl.free(buffer)
    dist.destroy_process_group()
    return rows


def _best(call: Callable[[], object], barrier: Callable[[], None]) -> float:
    """Return the microseconds of a call, all ranks beginning together."""
    for _ in range(10):
        call()
    barrier()
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        call()
        times.append(1e6 * (time.perf_counter() - begin))
    barrier()
    return min(times)


class _Hccl:
    """As much of the two libraries as is needed."""

    def __init__(self, rank: int, meeting: Path) -> None:
        import ascend_sim

        self._acl = ctypes.CDLL(
            str(ascend_sim.library_path("libascendcl.so")), os.RTLD_NOW | os.RTLD_GLOBAL
        )
        self._hccl = ctypes.CDLL(str(ascend_sim.library_path("libhccl.so")))
        self._hccl.HcclAllReduce.argtypes = [
            *(c_void_p, c_void_p, ctypes.c_uint64, ctypes.c_int, ctypes.c_int),
            *(c_void_p, c_void_p),
        ]
        self._hccl.HcclBarrier.argtypes = [c_void_p, c_void_p]
        self._acl.aclrtMalloc.argtypes = [c_void_p, ctypes.c_size_t, ctypes.c_int]
        self._acl.aclrtMemset.argtypes = [c_void_p, *([ctypes.c_size_t] * 3)]
        self._acl.aclrtFree.argtypes = [c_void_p]
        self._acl.aclInit(None)
        _check(self._acl.aclrtSetDevice(rank))
        self._stream, self._comm = c_void_p(), c_void_p()
        _check(self._acl.aclrtCreateStream(byref(self._stream)))
        root = self._root(rank, meeting)
        _check(self._hccl.HcclCommInitRootInfo(RANKS, root, rank, byref(self._comm)))

    def _root(self, rank: int, meeting: Path) -> Any:
        info, file = ctypes.create_string_buffer(4108), meeting / "root"
        if rank == 0:
            _check(self._hccl.HcclGetRootInfo(info))
            file.with_suffix(".part").write_bytes(info.raw)
            file.with_suffix(".part").rename(file)
        while not file.exists():
            time.sleep(0.01)
        return ctypes.create_string_buffer(file.read_bytes(), 4108)

    def buffer(self, size: int) -> c_void_p:
        address = c_void_p()
        _check(self._acl.aclrtMalloc(byref(address), size, 0))
        _check(self._acl.aclrtMemset(address, size, 0, size))
        return address

    def free(self, address: c_void_p) -> None:
        _check(self._acl.aclrtFree(address))

    def all_reduce(self, source: c_void_p, target: c_void_p, size: int) -> None:
        _check(
            self._hccl.HcclAllReduce(source, target, size // 4, FP32, SUM, self._comm, self._stream)
        )

    def wait(self) -> None:
        _check(self._acl.aclrtSynchronizeStream(self._stream))

    def barrier(self) -> None:
        _check(self._hccl.HcclBarrier(self._comm, self._stream))
        self.wait()


def _check(code: int) -> None:
    if code != 0:
        raise RuntimeError(f"failed with {code}")


if __name__ == "__main__":
    main()
