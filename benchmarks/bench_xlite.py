# SPDX-License-Identifier: Apache-2.0
"""Host time of the model's forward per decode step: eager, ACL graph FULL, and xlite.

The simulator runs everything but the kernels (compute=off). Of xlite's time the engine's own call
is shown, which launches all kernels, and the rest, which is the bridge's and the plugin's: checks,
and metadata. 64 requests with block tables for 4096 tokens.

The second table has the bridge without vLLM, one step after the other. Goal: at most 200 us beside
the engine, whatever the number of layers. `--json FILE.json` writes it to FILE-bridge.json.
"""

from _case import Case
from _report import parser, report

MODES = ("eager", "FULL", "xlite")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--layers", type=int, nargs="+", default=[4, 36, 64])
    options.add_argument("--modes", nargs="+", default=MODES)
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--steps", type=int, default=64)
    args = options.parse_args()

    shape = {"hidden": 64, "head": 64, "context": 4096, "dtype": "bfloat16", "compute": "off"}
    load = {"batch": args.batch, "sizes": (args.batch,), "steps": args.steps}
    rows = []
    for layers in args.layers:
        baseline = None
        for mode in args.modes:
            measured = Case(layers=layers, mode=mode, **shape, **load).run("_engine.py")
            baseline = baseline or measured["forward_cpu_ms"]
            rest = measured["forward_cpu_ms"] - measured["engine_cpu_ms"]
            rows.append(
                {
                    "layers": layers,
                    "mode": mode,
                    "forward ms": measured["forward_ms"],
                    "on cpu ms": measured["forward_cpu_ms"],
                    "of baseline": measured["forward_cpu_ms"] / baseline,
                    "engine on cpu ms": measured["engine_cpu_ms"],
                    "rest on cpu us": 1e3 * rest if mode == "xlite" else "",
                    "whole step ms": measured["step_ms"],
                }
            )
    title = f"Host time of the forward, compute=off, batch {args.batch}; baseline: {args.modes[0]}"
    report(title, rows, args.json)

    rows = []
    for layers in args.layers:
        alone = Case(layers=layers, **shape, **load).run("_bridge.py")
        bridge_us = 1e3 * (alone["step_ms"] - alone["engine_ms"])
        rows.append({"layers": layers, "engine ms": alone["engine_ms"], "bridge us": bridge_us})
    bridge = args.json and args.json.with_stem(f"{args.json.stem}-bridge")
    report("The bridge without vLLM, by the clock", rows, bridge)


if __name__ == "__main__":
    main()
