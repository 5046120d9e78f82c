# SPDX-License-Identifier: Apache-2.0
"""The tiny models of `models.toml`, and the page of the documentation on models.

``model_table.py OUT.md`` writes the page. It needs neither torch nor vLLM.
"""

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "BY",
    "COLUMNS",
    "REFUSED",
    "RESULTS",
    "ROWS",
    "RefusedModel",
    "Row",
    "page",
    "read_results",
]

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "packages/ascend-vllm-plugin/src/ascend_vllm_plugin/tested_models.toml"
"""What came of the runs: the plugin warns of what is not in it."""

BY = "test_models.py"
"""The test that compares the rows of `models.toml`."""

COLUMNS = (
    "eager",
    "PIECEWISE",
    "FULL",
    "FULL_DECODE_ONLY",
    "FULL_AND_PIECEWISE",
    "TP 2",
)
"""In which ways a model can be run; the last one with FULL_AND_PIECEWISE."""


@dataclass(frozen=True)
class Row:
    """One tiny model.

    Parameters
    ----------
    name
        Unique; says what is special about it.
    type
        Transformers' name of the kind of model.
    config
        Fields of its configuration beyond those that all tiny models have.
    without
        Fields that it is to have no value for.
    ways
        In which ways it is run, of `COLUMNS`.
    seed
        Of its weights: with it, no step has two tokens that are nearly equal.
    embeddings
        Standard deviation of the embeddings, if not that of the other weights.
    served
        Fields of `config.json` that vLLM is given beyond those of transformers, or instead of them:
        where it has the same model by another name.
    """

    name: str
    type: str
    config: Mapping[str, Any] = field(default_factory=dict)
    without: Sequence[str] = ()
    ways: Sequence[str] = ()
    seed: int = 0
    embeddings: float | None = None
    served: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := set(self.ways) - set(COLUMNS):
            raise ValueError(f"{self.name}: unknown ways {sorted(unknown)}; there are {COLUMNS}")


@dataclass(frozen=True)
class RefusedModel:
    """A model that is refused.

    Parameters
    ----------
    name
        As in `Row`.
    config
        All that `config.json` has beyond the common shape.
    error
        Words that the error must have.
    """

    name: str
    config: Mapping[str, Any]
    error: str


def _read() -> tuple[dict[str, Row], dict[str, RefusedModel]]:
    data = tomllib.loads((ROOT / "tests-integration/models.toml").read_text())
    every = data["ways"]
    rows = {}
    for name, values in data["model"].items():
        ways = every[values.pop("ways", "usual")]
        rows[name] = Row(name, **values, ways=ways)
    refused = {name: RefusedModel(name, **values) for name, values in data["refused"].items()}
    return rows, refused


ROWS, REFUSED = _read()


def read_results() -> list[dict[str, Any]]:
    """Rows of the file of results: ``name``, ``architecture``, ``modes``, and ``by`` which test."""
    rows: list[dict[str, Any]] = tomllib.loads(RESULTS.read_text()).get("model", [])
    return rows


_INTRODUCTION = """\
# Models

A model is refused only for something that it needs and this platform lacks. Whatever is not in the
first table is accepted, with one warning that says so.
"""


def page() -> str:
    """The page of the documentation."""
    return "\n".join((_INTRODUCTION, *_tested(), *_refused()))


def _tested() -> Iterator[str]:
    yield "## What has been compared\n"
    yield "Tiny random models against transformers on the CPU: greedy tokens in float32, token for"
    yield "token. `test_models.py` has eight prompts of 1 to 300 tokens, 48 new tokens each, and at"
    yield "most 256 tokens in a step. The other tests named here have prompts of their own; some of"
    yield "their modes are run by `nox -s slow` only. `TP 2` is tensor parallelism on two devices,"
    yield "in the default graph mode. An empty cell was not run.\n"
    yield "Transformers lacks EXAONE 3, InternLM 2 and 3, and MiniCPM. They are compared with the"
    yield "Llama, Qwen2 or Granite that has the same weights. Where vLLM and transformers read a"
    yield "field of the configuration differently, each is given the value with which both compute"
    yield "the same; the comments of `tests-integration/models.toml` name them.\n"
    yield _line("model", "architecture", *(f"`{way}`" for way in COLUMNS), "by")
    yield _line(*["---"] * (len(COLUMNS) + 3))
    for row in read_results():
        marks = ("yes" if way in row["modes"] else "" for way in COLUMNS)
        yield _line(row["name"], f"`{row['architecture']}`", *marks, f"`{row['by']}`")
    yield ""


def _refused() -> Iterator[str]:
    yield "## What is refused\n"
    yield "With the configuration, before anything is loaded. vLLM itself refuses what it lacks,"
    yield "such as Baichuan, the first InternLM, and a Qwen2 with windows in only some layers.\n"
    yield _line("model", "because")
    yield _line("---", "---")
    for model in REFUSED.values():
        yield _line(model.name, model.error)
    yield ""


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
