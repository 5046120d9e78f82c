# SPDX-License-Identifier: Apache-2.0
"""The runner of upstream's tests, on a checkout and a list of its own."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

UPSTREAM = Path(__file__).parents[3] / "runs" / "upstream.py"
LIST = """
[[repository]]
name = "someone/something"
tag = "v1"
commit = "0123456789abcdef"
options = ["--devices", "2"]
files = ["test/test_good.py", "test/test_bad.py", "test/test_dies.py", "test/test_hangs.py"]

[[repository.known]]
reason = "it is wrong"
tests = ["test/test_bad.py::Case::test_known", "test/test_good.py::test_fixed"]

[[repository.known]]
reason = "it does not end"
tests = ["test/test_hangs.py"]
"""
FILES = {
    "test_good.py": """
        import json, os, unittest
        def test_on_two_devices():
            assert json.loads(os.environ["ASCEND_SIM_CONFIG"])["devices"] == 2
        def test_fixed(): pass
        @unittest.skip("no reason")
        def test_skipped(): pass
    """,
    "test_bad.py": """
        import unittest
        class Case(unittest.TestCase):
            def test_known(self): self.fail()
            def test_new(self): self.fail()
    """,
    "test_dies.py": "def test_dies(): import os; os.abort()",
    "test_hangs.py": "def test_hangs(): import time; time.sleep(100)",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "test").mkdir()
    for name, text in FILES.items():
        (tmp_path / "test" / name).write_text(re.sub(r"^        ", "", text, flags=re.M))
    return tmp_path


def run(environ: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, UPSTREAM, *map(str, arguments)]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=300, check=False
    )


def test_each_test_is_compared_with_what_the_list_says(checkout, clean_environ, tmp_path) -> None:
    """Given tests of every outcome, each stands in its column; a file that dies or hangs is one."""
    names = tmp_path / "list.toml"
    names.write_text(LIST)

    done = run(clean_environ, checkout, "--list", names, "--timeout", 15)

    table = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    # passed, skipped, known, new, fixed
    assert table["test/test_good.py"] == ["1", "1", "0", "0", "1"]
    assert table["test/test_bad.py"] == ["0", "0", "1", "1", "0"]
    assert table["test/test_dies.py"] == ["0", "0", "0", "1", "0"]
    assert table["test/test_hangs.py"] == ["0", "0", "1", "0", "0"]
    assert table["all"] == ["1", "1", "2", "2", "1"]
    assert done.stdout.splitlines()[-3:] == [
        "fixed: test/test_good.py::test_fixed",
        "new: test/test_bad.py::Case::test_new",
        "new: test/test_dies.py",
    ]
    assert done.returncode == 1
    assert "the list was made for 0123456789abcdef (v1)" in done.stdout


def test_what_the_list_says_is_success(checkout, clean_environ, tmp_path) -> None:
    names = tmp_path / "list.toml"
    names.write_text(LIST.replace('"test/test_good.py::test_fixed"', ""))

    done = run(clean_environ, checkout, "--list", names, "--only", "good")

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "as expected")


def test_a_folder_without_such_tests_is_refused_with_what_to_check_out(
    clean_environ, tmp_path
) -> None:
    done = run(clean_environ, tmp_path)

    assert done.returncode == 1
    assert "Check out Ascend/pytorch at v" in done.stderr


def test_the_list_names_only_tests_of_its_files() -> None:
    for repository in tomllib.loads(UPSTREAM.with_suffix(".toml").read_text())["repository"]:
        files = repository["files"]
        assert len(files) == len(set(files))
        for group in repository.get("known", []):
            assert group["reason"]
            assert {test.partition("::")[0] for test in group["tests"]} <= set(files)
