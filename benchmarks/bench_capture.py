# SPDX-License-Identifier: Apache-2.0
"""Capture time per graph, compared with one eager forward of the same model.

A capture runs the model's Python code once, so it cannot be faster than the host part of an eager
forward; what it takes beyond that is the price of a graph. compute=off: host time only.

The second table says how much of a FULL capture goes into noting which memory the graph must keep
alive: 64 sizes, half of them captured without it. Goal: less than a tenth. `--json FILE.json`
writes it to FILE-noting.json.
"""

from _case import Case
from _report import parser, report

SIZES = (1, 2, 4, 8)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--layers", type=int, nargs="+", default=[4, 36])
    args = options.parse_args()

    rows = []
    for layers in args.layers:
        shape = {"layers": layers, "hidden": 64, "compute": "off", "sizes": SIZES, "steps": 24}
        eager = Case(mode="eager", **shape).run("_engine.py")
        for mode in ("PIECEWISE", "FULL"):
            stats = Case(mode=mode, **shape).run("_engine.py")["stats"]
            graphs = sum(sum(sizes.values()) for sizes in stats["graphs"].values())
            seconds = stats["capture_seconds"]
            rows.append(
                {
                    "layers": layers,
                    "mode": mode,
                    "graphs": graphs,
                    "ms per graph": 1e3 * seconds / graphs,
                    "ms per batch size": 1e3 * seconds / len(SIZES),
                    "eager forward ms": eager["forward_ms"],
                    "of eager": 1e3 * seconds / len(SIZES) / eager["forward_ms"],
                }
            )
    report(f"Capture time, sizes {', '.join(map(str, SIZES))}, compute=off", rows, args.json)

    rows = []
    for layers in args.layers:
        sizes = tuple(range(1, 65))
        case = Case(
            layers=layers, hidden=64, mode="FULL", compute="off", batch=max(sizes), sizes=sizes
        )
        rows.append({"layers": layers, **case.run("_noting.py")})
    noting = args.json and args.json.with_stem(f"{args.json.stem}-noting")
    report("Noting the touched memory, as a share of a FULL capture", rows, noting)


if __name__ == "__main__":
    main()
