# SPDX-License-Identifier: Apache-2.0
"""What the tests call operators with.

``pytest packages/ascend-sim/tests/SUITE --record-operators`` writes the suite's `operators.json`,
which says of every operator with which dtypes, layouts and formats the tests that passed launched
it. The documentation has a page of it.
"""

import ctypes
import json
from collections import defaultdict
from pathlib import Path

from operators_page import Record, record_path

__all__ = ["Recorder"]

# Of these files tests call operators without looking at what they compute.
NOT_NUMERIC = {"test_errors.py", "test_signatures.py", "test_record.py"}
MOST_TESTS = 8

DTYPES = {
    0: "fp32", 1: "fp16", 2: "int8", 3: "int32", 4: "uint8", 6: "int16", 7: "uint16", 8: "uint32",
    9: "int64", 10: "uint64", 11: "fp64", 12: "bool", 16: "complex64", 17: "complex128", 27: "bf16",
    29: "int4", 33: "complex32", 34: "hif8", 35: "fp8_e5m2", 36: "fp8_e4m3fn",
}  # fmt: skip
FORMATS = {-1: "ND", 0: "ND", 1: "ND", 2: "ND", 27: "ND", 29: "NZ", 30: "ND", 47: "ND"}
LAYOUTS = {"c": "dense", "s": "strided"}


class Recorder:
    """Collects what each test of a suite, a folder of tests, calls operators with."""

    def __init__(self, suite: str) -> None:
        self._suite = suite
        self._library = ctypes.CDLL("libopapi.so")
        self._library.ascendSimTakeRecord.restype = ctypes.c_char_p
        self._library.ascendSimRecordOperators(ctypes.c_bool(True))
        self._calls: dict[str, set[str]] = defaultdict(set)  # test -> lines

    def take(self) -> list[str]:
        """Return what was recorded since the last time."""
        return self._library.ascendSimTakeRecord().decode().splitlines()

    def passed(self, test: str) -> None:
        """Note what was recorded as the doing of a test that passed, "FILE::NAME"."""
        self._calls[test].update(self.take())

    def result(self) -> Record:
        """Return the content of `operators.json`."""
        operators: dict[str, dict[str, set[str]]] = {}
        uses: dict[str, set[str]] = defaultdict(set)  # test function -> operators
        for test, lines in self._calls.items():
            function = test.partition("[")[0]
            numeric = Path(function.partition("::")[0]).name not in NOT_NUMERIC
            for line in lines:
                name, *kinds = line.split(" ")
                entry = operators.setdefault(name, defaultdict(set))
                if kinds[:1] == ["!"]:
                    entry["limits"].add(" ".join(kinds[1:]).partition(" (a limit")[0])
                elif numeric:
                    uses[function].add(name)
                    for kind in ",".join(kinds).split(","):
                        if ":" in kind:
                            dtype, format_, layout = kind.split(":")
                            entry["dtypes"].add(DTYPES.get(int(dtype), dtype))
                            plain = FORMATS.get(int(format_), format_)
                            entry["layouts"].add(LAYOUTS[layout] if plain == "ND" else plain)
        # The tests that are about an operator launch few others.
        for function in sorted(uses, key=lambda test: (len(uses[test]), test)):
            for name in uses[function]:
                if len(operators[name]["tests"]) < MOST_TESTS:
                    operators[name]["tests"].add(function)
        return {
            name: {key: sorted(values) for key, values in sorted(entry.items())}
            for name, entry in sorted(operators.items())
            if entry.get("tests")
        }

    def write(self) -> None:
        """Write the record of the suite."""
        rows = (f'"{name}": {json.dumps(entry)}' for name, entry in self.result().items())
        text = "{\n" + ",\n".join(rows) + "\n}\n"
        record_path(self._suite).write_text(text, encoding="utf-8")
