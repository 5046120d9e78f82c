# SPDX-License-Identifier: Apache-2.0
"""Run the suite, once per kind of hardware queue, and print a table by concept.

``python packages/ascend-sim/conformance [--libascendcl PATH] [pytest options]``; with a library
named there is one run, with whatever that library does.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rules import CASES

HERE = Path(__file__).parent
MODES = ("software", "hardware")

__all__ = ["main"]


def _run(mode: str, report: Path, options: list[str]) -> int:
    config = {} if mode == "as it is" else {"sq": mode}
    given = json.loads(os.environ.get("ASCEND_SIM_CONFIG") or "{}")
    return subprocess.run(
        [*(sys.executable, "-m", "pytest", "-q", f"--conformance-report={report}"), HERE, *options],
        env=os.environ | {"ASCEND_SIM_CONFIG": json.dumps(given | config)},
        check=False,
    ).returncode


def _print_table(reports: dict[str, dict[str, Any]]) -> None:
    """One line per concept; per mode the rules that passed, failed and were skipped."""
    concepts = sorted({concept for report in reports.values() for concept in report["concepts"]})
    print(f"\n{'':20}" + "".join(f"{mode + ' SQ':>28}" for mode in reports))
    print(f"{'concept':20}" + f"{'passed':>12}{'failed':>8}{'skipped':>8}" * len(reports))
    for concept in [*concepts, "all"]:
        line = f"{concept:20}"
        for report in reports.values():
            chosen = concepts if concept == "all" else [concept]
            of = report["concepts"]
            counts = Counter(outcome for c in chosen for outcome in of.get(c, {}).values())
            line += f"{counts['passed']:12}{counts['failed']:8}{counts['skipped']:8}"
        print(line)
    held = [list(report["cases"].values()).count("passed") for report in reports.values()]
    print(f"{'cases':20}" + "".join(f"{f'{number} of {len(CASES)}':>12}{'':16}" for number in held))


def main(options: list[str]) -> int:
    """Return 0 when every rule holds in every mode."""
    named = any(option.startswith("--libascendcl") for option in options)
    modes = ("as it is",) if named or "ASCEND_SIM_LIBRARY" in os.environ else MODES
    reports: dict[str, dict[str, Any]] = {}
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for mode in modes:
            report = Path(folder) / "report.json"
            failed |= _run(mode, report, options) != 0
            empty: dict[str, Any] = {"concepts": {}, "cases": {}}
            reports[mode] = json.loads(report.read_text()) if report.exists() else empty
            report.unlink(missing_ok=True)
    _print_table(reports)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
