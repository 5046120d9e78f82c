# SPDX-License-Identifier: Apache-2.0
"""What the README shows, run as shown."""

import re
import shlex
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
OWN_FILES = ("train.py", "bench.py", "serve.py")  # stand for the reader's programs
TIMELINE = """[
{"name":"process_name","ph":"M","args":{"name":"train"},"pid":1,"tid":0},
{"name":"thread_name","ph":"M","args":{"name":"NPU 0 stream 0"},"pid":1,"tid":1},
{"name":"aclnnAdd","cat":"kernel","ph":"X","ts":1,"dur":2,"pid":1,"tid":1},
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [line for line in lines if line.startswith("ascend-sim ")]


def test_the_python_example_prints_what_it_says(python) -> None:
    (code,) = blocks("python")
    # print(...)  # [11.0, ...]
    promised = re.findall(r"^print\(.*\)  # (.*)$", code, flags=re.MULTILINE)
    assert promised
    assert python(code).splitlines() == promised


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_readme_works(cli, tmp_path, command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    program = tmp_path / "program.py"
    program.write_text("import torch; print(torch.npu.device_count())")
    timeline = tmp_path / "run.json"
    if words[0] == "trace":
        timeline.write_text(TIMELINE)
    replacements = {"python": sys.executable} | dict.fromkeys(OWN_FILES, str(program))
    replacements |= {"run.json": str(timeline), "run.svg": str(tmp_path / "run.svg")}
    result = cli(*(replacements.get(word, word) for word in words))
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_the_options_of_run_are_the_documented_ones(cli) -> None:
    documented = set(re.findall(r"^\| `(--[a-z]+)`", README, flags=re.MULTILINE))
    offered = set(re.findall(r"--[a-z]+", cli("run", "--help").stdout.partition("Options:")[2]))
    assert offered - {"--help"} == documented
