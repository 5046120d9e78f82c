# SPDX-License-Identifier: Apache-2.0
"""Host time of the model's forward per decode step and layer: eager, PIECEWISE, FULL.

The simulator runs everything but the kernels (compute=off), so what is left is the time in which
the host prepares and launches work: what graph mode exists to reduce. Goal: with 36 layers FULL
takes at most a fifth of eager.

Models are dense, or have a mixture of experts (`--kinds experts`), or that and latent attention
(`--kinds latents`).
"""

from itertools import product
from typing import get_args

from _case import Case, Kind
from _report import parser, report

MODES = ("eager", "PIECEWISE", "FULL")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--kinds", nargs="+", choices=get_args(Kind), default=["dense"])
    options.add_argument("--layers", type=int, nargs="+", default=[4, 36])
    options.add_argument("--modes", nargs="+", default=MODES)
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--steps", type=int, default=64)
    args = options.parse_args()

    rows = []
    for kind, layers in product(args.kinds, args.layers):
        baseline = None
        for mode in args.modes:
            case = Case(
                kind=kind,
                layers=layers,
                hidden=64,
                mode=mode,
                compute="off",
                batch=args.batch,
                sizes=(args.batch,),
                steps=args.steps,
            )
            measured = case.run("_engine.py")
            baseline = baseline or measured["forward_ms"]
            rows.append(
                {
                    "model": kind,
                    "layers": layers,
                    "mode": mode,
                    "forward ms": measured["forward_ms"],
                    "of baseline": measured["forward_ms"] / baseline,
                    "on cpu ms": measured["forward_cpu_ms"],
                    "per layer µs": 1e3 * measured["forward_ms"] / layers,
                    "whole step ms": measured["step_ms"],
                }
            )
    title = f"Host time of the forward, compute=off, batch {args.batch}; baseline: {args.modes[0]}"
    report(title, rows, args.json)


if __name__ == "__main__":
    main()
