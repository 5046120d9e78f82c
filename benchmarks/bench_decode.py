# SPDX-License-Identifier: Apache-2.0
"""A decode step through vLLM, torch_npu and the simulator, compared with plain PyTorch on the CPU.

The same model, batch and number of threads, and the same greedy tokens. The baseline is the bare
model in ATen ops; the step of vLLM also schedules, prepares inputs, samples and makes outputs.
Goal: at most 2.0 times the baseline.
"""

from _case import Case
from _report import parser, report

MODES = ("eager", "PIECEWISE", "FULL", "FULL_AND_PIECEWISE")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--layers", type=int, default=8)
    options.add_argument("--hidden", type=int, default=512)
    options.add_argument("--batch", type=int, default=8)
    options.add_argument("--steps", type=int, default=64)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--modes", nargs="+", default=MODES)
    args = options.parse_args()

    shape = {
        "layers": args.layers,
        "hidden": args.hidden,
        "batch": args.batch,
        "sizes": (args.batch,),
        "steps": args.steps,
        "threads": args.threads,
    }
    baseline = Case(**shape).run("_reference.py")
    rows = [_row("PyTorch CPU, eager", baseline, baseline)]
    for mode in args.modes:
        rows.append(_row(f"vLLM, {mode}", Case(mode=mode, **shape).run("_engine.py"), baseline))
    title = (
        f"Decode step of {args.layers} layers, hidden {args.hidden}, batch {args.batch}, fp32, "
        f"{args.threads} thread(s)"
    )
    report(title, rows, args.json)


def _row(name: str, measured: dict, baseline: dict) -> dict:
    return {
        "what": name,
        "ms per step": measured["step_ms"],
        "of baseline": measured["step_ms"] / baseline["step_ms"],
        "cpu ms per step": measured["step_cpu_ms"],
        "cpu of baseline": measured["step_cpu_ms"] / baseline["step_cpu_ms"],
        "same tokens": "yes" if measured["tokens"] == baseline["tokens"] else "NO",
    }


if __name__ == "__main__":
    main()
