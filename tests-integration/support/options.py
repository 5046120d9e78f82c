# SPDX-License-Identifier: Apache-2.0
"""The verdicts of `options.toml` on vLLM's options, and the page of the documentation they make.

``options.py OUT.md`` writes the page.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["Refusal", "Verdicts", "engine_option", "page"]

_DATA = Path(__file__).parents[1] / "options.toml"
_EVERY = "every engine"

_INTRODUCTION = """\
# Options of vLLM on this platform

Every option of vLLM's command line (`vllm serve`, `LLM(...)`), and the fields of
`--compilation-config` and `--attention-config`. This page is made from
`tests-integration/options.toml`. Tests compare that file with the parser of the installed vLLM, so
every option has a verdict. They also check that each rejected option is rejected with these words,
and that each option that was run gives the tokens of transformers.
"""


@dataclass(frozen=True)
class Refusal:
    """A value that is refused.

    Attributes
    ----------
    name
        The option, or the environment variable.
    value
        What it is set to.
    error
        Words that the error must have.
    others
        Further options of ``EngineArgs`` that the value needs.
    by_vllm
        Whether vLLM refuses it itself, in its own words.
    """

    name: str
    value: Any
    error: str
    others: dict[str, Any]
    by_vllm: bool

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of ``EngineArgs`` that ask for it."""
        return merged(self.others, engine_option(self.name, self.value))


class Verdicts:
    """What becomes of each option, from `options.toml`.

    Attributes
    ----------
    engines
        Values that engines are started with, by name of the engine.
    elsewhere
        Values that tests of their own start engines with, by name of the option.
    environments
        What engines need in their environment, by name of the engine.
    refusals, variables
        Values of options and of environment variables that are refused.
    host, untested, idle
        Options that touch no device code, that nobody has tried, and that have nothing to act on,
        by what they are about.
    """

    def __init__(self) -> None:
        data = tomllib.loads(_DATA.read_text())
        self.engines: dict[str, dict[str, Any]] = data["runs"]
        self.environments: dict[str, dict[str, str]] = data["environment"]
        self.elsewhere: dict[str, dict[str, Any]] = data["runs_elsewhere"]
        self.refusals = [_refusal(name, row) for name, row in data["refused"].items()]
        self.variables = [_refusal(name, row) for name, row in data["refused_environment"].items()]
        self.host: dict[str, list[str]] = data["host"]
        self.untested: dict[str, list[str]] = data["untested"]
        self.idle: dict[str, list[str]] = data["idle"]
        self.since: dict[str, str] = data["since"]

    def names(self) -> set[str]:
        """Options that have a verdict and that the installed vLLM should have."""
        installed = _release(version("vllm"))
        named = self._active() | set(self._quiet())
        return {name for name in named if _release(self.since.get(name, "0")) <= installed}

    def twice(self) -> set[str]:
        """Options with verdicts that contradict each other."""
        quiet, active = self._quiet(), self._active()
        return {name for name in quiet if quiet.count(name) > 1 or name in active}

    def _active(self) -> set[str]:
        run = {name for values in self.engines.values() for name in values}
        return run | self.elsewhere.keys() | {refusal.name for refusal in self.refusals}

    def _quiet(self) -> list[str]:
        groups = (*self.host.values(), *self.untested.values(), *self.idle.values())
        return [name for names in groups for name in names]

    def engine_options(self) -> dict[str, dict[str, Any]]:
        """Arguments of ``vllm.LLM`` by name of the engine, less the model."""
        every = self.engines[_EVERY]
        return {
            engine: merged(*(engine_option(*item) for item in {**every, **values}.items()))
            for engine, values in self.engines.items()
            if engine != _EVERY
        }


def engine_option(name: str, value: Any) -> dict[str, Any]:
    """Write an option as an argument of ``EngineArgs``: "a.b" is the field b of the argument a."""
    argument, _, field = name.removeprefix("--").replace("-", "_").partition(".")
    return {argument: {field: value} if field else value}


def merged(*options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of several options in one, fields of the same argument side by side."""
    result: dict[str, Any] = {}
    for option in options:
        for name, value in option.items():
            both = isinstance(value, dict) and isinstance(result.get(name), dict)
            result[name] = {**result[name], **value} if both else value
    return result


def page(verdicts: Verdicts) -> str:
    """The page of the documentation."""
    return "\n".join((_INTRODUCTION, *_refused(verdicts), *_run(verdicts), *_quiet(verdicts)))


def _refused(verdicts: Verdicts) -> Iterator[str]:
    yield "## What is rejected\n"
    yield "With the configuration, before anything is loaded. One error has all the problems.\n"
    yield "| option | for example | because |"
    yield "|---|---|---|"
    for refusal in (*verdicts.refusals, *verdicts.variables):
        yield f"| {_code(refusal.name)} | {_code(_shown(refusal.value))} | {refusal.error} |"
    yield ""


def _run(verdicts: Verdicts) -> Iterator[str]:
    yield "## What has been run\n"
    yield "| option | with |"
    yield "|---|---|"
    values: dict[str, list[str]] = {}
    for engine, options in verdicts.engines.items():
        environment = verdicts.environments.get(engine, {})
        needs = "".join(f" with {_code(f'{name}={value}')}" for name, value in environment.items())
        for name, value in options.items():
            values.setdefault(name, []).append(_code(_shown(value)) + needs)
    for name, row in verdicts.elsewhere.items():
        values.setdefault(name, []).append(f"{_code(_shown(row['value']))} for {row['with']}")
    for name in sorted(values):
        yield f"| {_code(name)} | {', '.join(dict.fromkeys(values[name]))} |"
    yield ""


def _quiet(verdicts: Verdicts) -> Iterator[str]:
    for title, introduction, groups in (
        (
            "What runs on the host only",
            "vLLM's own work, the same on every platform.",
            verdicts.host,
        ),
        (
            "What has not been tried",
            "These options are accepted, with a warning.",
            verdicts.untested,
        ),
        (
            "What has no effect",
            "What these options configure is rejected, or no supported model has it.",
            verdicts.idle,
        ),
    ):
        yield f"## {title}\n"
        yield f"{introduction}\n"
        for about, names in groups.items():
            subject = re.sub(r"--[a-z-]+", lambda option: _code(option[0]), about)
            yield f"- {subject}: {', '.join(map(_code, sorted(names)))}"
        yield ""


def _refusal(name: str, row: dict[str, Any]) -> Refusal:
    return Refusal(name, row["value"], row["error"], row.get("with", {}), row.get("by") == "vLLM")


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _code(text: str) -> str:
    return f"`{text}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(Verdicts()), encoding="utf-8")
