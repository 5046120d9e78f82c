# SPDX-License-Identifier: Apache-2.0
"""Break rules of the C++ source on purpose, one at a time, and see the suite fail each time.

``python packages/ascend-sim/conformance/mutate.py [WORDS]``: all mutations of mutations.toml, or
those whose rule has the words in it. Works in a temporary copy of the sources; needs CMake, Ninja
and torch to build. Fails when a mutation survives or no longer applies.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["main"]

HERE = Path(__file__).parent
SOURCES = ("CMakeLists.txt", "cmake", "csrc", "generator", "spec", "src")


@dataclass(frozen=True)
class Mutation:
    """One rule and the change of one source file that breaks it."""

    rule: str
    file: str
    old: str
    new: str


class Workshop:
    """A copy of the sources, built again after each change."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._source, self._build = folder / "source", folder / "build"
        for name in SOURCES:
            original = HERE.parent / name
            copy = shutil.copytree if original.is_dir() else shutil.copy
            self._source.mkdir(exist_ok=True)
            copy(original, self._source / name)
        self._run(
            *("cmake", "-S", str(self._source), "-B", str(self._build), "-G", "Ninja"),
            *("-DCMAKE_BUILD_TYPE=Release", f"-DPython_EXECUTABLE={sys.executable}"),
            *("-DCMAKE_CXX_FLAGS_RELEASE=-O1", "-DSKBUILD_PROJECT_NAME=ascend_sim"),
            *options,
        )

    def _run(self, *command: str) -> None:
        environment = os.environ | {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr}")

    def build(self, target: str = "ascendcl") -> Path:
        """Return the path of the library made of the sources as they are."""
        self._run("cmake", "--build", str(self._build), "--target", target, "-j", "2")
        return self._build / f"lib{target}.so"

    def apply(self, mutation: Mutation) -> str | None:
        """Change the file and return its text before; None when the change does not apply."""
        path = self._source / "csrc" / mutation.file
        text = path.read_text()
        if text.count(mutation.old) != 1:
            return None
        path.write_text(text.replace(mutation.old, mutation.new))
        return text

    def restore(self, mutation: Mutation, text: str) -> None:
        (self._source / "csrc" / mutation.file).write_text(text)


def failing_test(library: Path, sq: str) -> str | None:
    """Return the first test of the suite that fails, or None; a run that hangs is a failure."""
    config = json.dumps({"sq": sq})
    command = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--libascendcl", str(library))
    try:
        done = subprocess.run(
            [sys.executable, *command, str(HERE)],
            env=os.environ | {"ASCEND_SIM_CONFIG": config},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "a test that never ended"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"a process ended by signal {-done.returncode}"
    found = re.search(r"^(?:FAILED|ERROR) .*?(\w+\.py::\S+)", done.stdout, re.MULTILINE)
    if found is None:
        raise SystemExit(f"the suite did not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return found[1]


def main(words: list[str]) -> int:
    """Return 0 when every mutation was caught."""
    table = tomllib.loads((HERE / "mutations.toml").read_text())["mutation"]
    mutations = [Mutation(**row) for row in table if all(word in row["rule"] for word in words)]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder))
        library = workshop.build()
        for sq in ("software", "hardware"):
            if test := failing_test(library, sq):
                raise SystemExit(f"the sources as they are do not pass ({sq} queues): {test}")
        for mutation in mutations:
            before = workshop.apply(mutation)
            if before is None:
                print(f"does not apply  {mutation.rule}: {mutation.file}", flush=True)
                bad += 1
                continue
            library = workshop.build()
            test = failing_test(library, "software") or failing_test(library, "hardware")
            bad += test is None
            outcome = "survived" if test is None else "caught"
            print(f"{outcome:15} {mutation.rule}" + (f"  [{test}]" if test else ""), flush=True)
            workshop.restore(mutation, before)
    print(f"{len(mutations) - bad} of {len(mutations)} mutations were caught")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
