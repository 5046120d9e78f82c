# SPDX-License-Identifier: Apache-2.0
"""Every command and example of the documentation is run, as its reader would run it.

A comment above each code block says how: `<!-- run -->`, `<!-- run: on the simulator -->`,
`<!-- run: serve -->` (a server, for the blocks behind it), `<!-- run: with the server -->`,
`<!-- run: demo -->`, or `<!-- not run: reason -->`.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md")])
FENCE = re.compile(
    r"(?:^<!-- (?P<how>.*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
SIMULATOR = ("ascend-sim", "run", "--")
PORT = 8000  # vllm serve's default, which the examples use
READY_TIMEOUT_S = 240


@dataclass(frozen=True)
class Block:
    """One code block of a page."""

    page: Path
    line: int
    how: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        yield Block(page, line, match["how"] or "", match["language"], match["text"])


BLOCKS = [
    block for page in PAGES for block in blocks_of(page) if block.language in ("bash", "python")
]


def examples() -> list[Any]:
    """Return the blocks that run by themselves."""
    blocks = [block for block in BLOCKS if block.how in ("run", "run: on the simulator")]
    return first_at_once(blocks, starts_engine=lambda block: "from vllm import" in block.text)


def first_at_once(items: Iterable[Any], starts_engine: Callable[[Any], bool]) -> list[Any]:
    """Mark as slow what starts an engine, but for the first: the pages differ in options only."""
    found = 0
    parameters = []
    for item in items:
        found += starts_engine(item)
        is_slow = starts_engine(item) and found > 1
        parameters.append(pytest.param(item, marks=[pytest.mark.slow] if is_slow else []))
    return parameters


def server_groups() -> list[list[Block]]:
    """Return each block that starts a server, with the blocks that talk to it."""
    groups: list[list[Block]] = []
    for block in BLOCKS:
        if block.how == "run: serve":
            groups.append([block])
        elif block.how == "run: with the server":
            groups[-1].append(block)
    return groups


@pytest.fixture
def here(tmp_path: Path, device_model: Path) -> Path:
    """A folder as the documentation assumes it: with a model in ./model."""
    (tmp_path / "model").symlink_to(device_model)
    return tmp_path


def command_of(block: Block, folder: Path) -> list[str]:
    if block.language == "bash":
        return ["bash", "-euo", "pipefail", "-c", block.text]
    script = folder / "example.py"
    script.write_text(block.text)
    return [sys.executable, str(script)]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_says_how_it_is_run(block: Block) -> None:
    known = ("run", "run: on the simulator", "run: serve", "run: with the server", "run: demo")
    assert block.how in known or re.fullmatch(r"not run: \w.*", block.how), (
        f"{block}: write a comment above it, one of {known} or 'not run: REASON'"
    )


@pytest.mark.parametrize("block", examples(), ids=str)
def test_an_example_runs(block: Block, here: Path, vllm_environment: dict[str, str]) -> None:
    prefix = SIMULATOR if block.how == "run: on the simulator" else ()
    result = subprocess.run(
        [*prefix, *command_of(block, here)],
        cwd=here,
        env=vllm_environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]


@pytest.mark.parametrize(
    "group",
    first_at_once(server_groups(), starts_engine=lambda _: True),
    ids=lambda group: str(group[0]),
)
def test_a_server_starts_and_answers(
    group: list[Block], here: Path, vllm_environment: dict[str, str]
) -> None:
    log = here / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*SIMULATOR, "bash", "-c", f"exec {group[0].text}"],
            cwd=here,
            env=vllm_environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_healthy(server, log)
        for block in group[1:]:
            answer = subprocess.run(
                command_of(block, here), cwd=here, capture_output=True, text=True, timeout=60
            )
            assert answer.returncode == 0, answer.stderr
            assert '"text"' in answer.stdout, answer.stdout
        server.send_signal(signal.SIGTERM)
        assert server.wait(15) == 0, log.read_text()[-2000:]
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_until_healthy(server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-4000:]
        try:
            if httpx.get(f"http://127.0.0.1:{PORT}/health", timeout=2).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"not healthy after {READY_TIMEOUT_S} s\n{log.read_text()[-4000:]}")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.how == "run: demo"], ids=str)
def test_options_of_the_demo_are_valid(block: Block, device_model: Path) -> None:
    """The demo itself is run by test_demo; here its documented options are parsed."""
    from demo.__main__ import main

    for line in block.text.splitlines():
        arguments = shlex.split(line.replace("PATH", str(device_model)))
        _, _, options = (" ".join(arguments) + " -- ").partition(" -- ")
        main.make_context("demo", [word for word in options.split() if word != "--"])
