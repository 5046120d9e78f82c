# SPDX-License-Identifier: Apache-2.0
"""Compare a version of vLLM with one that the plugin works with: `python -m upstream 0.34.0`."""

from importlib.util import find_spec
from pathlib import Path

import click
from rich.console import Console

from upstream.compare import compare
from upstream.download import sources_of
from upstream.report import summary, table
from upstream.tree import SourceTree
from upstream.uses import find_uses

PACKAGE = "ascend_vllm_plugin"
FOLDER = Path(__file__).parents[1] / "src" / PACKAGE


@click.command()
@click.argument("version")
@click.option("--against", help="Version the plugin works with; the installed one if left out.")
@click.option("--cache", type=click.Path(path_type=Path), required=True, help="Folder of sources.")
@click.option("--index-url", envvar="PIP_INDEX_URL", default="https://pypi.org/simple/")
def main(version: str, against: str | None, cache: Path, index_url: str) -> None:
    """List every name of vLLM that the plugin uses, with what became of it in VERSION."""
    old = sources_of(against, index_url, cache) if against else _installed()
    new = sources_of(version, index_url, cache)
    uses = find_uses(SourceTree({"vllm": old, PACKAGE: FOLDER}), PACKAGE, FOLDER)
    outcomes = compare(uses, SourceTree({"vllm": old}), SourceTree({"vllm": new}))
    console = Console(width=None if Console().is_terminal else 220)
    console.print(table(outcomes, f"vLLM {version} against {against or 'the installed one'}"))
    console.print(summary(outcomes))


def _installed() -> Path:
    found = find_spec("vllm")  # does not import it
    if found is None or found.origin is None:
        raise click.UsageError("no vLLM is installed here: name a version with --against")
    return Path(found.origin).parent


if __name__ == "__main__":
    main()
