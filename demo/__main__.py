# SPDX-License-Identifier: Apache-2.0
"""Run the demo: `ascend-sim run -- python -m demo`, or `nox -s demo`, which prepares everything."""

import json
import sys
import time
from pathlib import Path

import click
import transformers
from platformdirs import user_cache_path
from rich.console import Console

from demo.model import QUESTIONS, cached_model
from demo.reference import judge
from demo.report import show_answers, show_table, summary
from demo.server import Server, ServerError, compilation_config, xlite_config
from demo.traffic import send

_MODES = ("NONE", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE")
_QUESTIONS = 9  # as chat requests, and every third one also as a plain completion: 12 in all


@click.command()
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve this model folder instead of the demo's own model.",
)
@click.option("--mode", type=click.Choice(_MODES), help="cudagraph_mode; vLLM's default if absent.")
@click.option("--enforce-eager", is_flag=True, help="No graphs at all.")
@click.option(
    "--backend",
    type=click.Choice(("aclgraph", "xlite")),
    default="aclgraph",
    show_default=True,
    help="What runs decode steps. xlite must be installed.",
)
@click.option("--full-mode", is_flag=True, help="xlite runs prefill too.")
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Tensor-parallel ranks, each on a device: `ascend-sim run --devices N` has as many.",
)
@click.option("--keep-serving", is_flag=True, help="Serve on after the report, until Ctrl-C.")
def main(
    model: Path | None,
    mode: str | None,
    enforce_eager: bool,
    backend: str,
    full_mode: bool,
    devices: int,
    keep_serving: bool,
) -> None:
    """Serve a model on a simulated NPU, ask it questions, and check every token of its answers."""
    if enforce_eager and mode not in (None, "NONE"):
        raise click.UsageError(f"--enforce-eager contradicts --mode {mode}: drop one of the two")
    if full_mode and backend != "xlite":
        raise click.UsageError("--full-mode is a mode of xlite: add --backend xlite")
    transformers.logging.disable_progress_bar()
    console = Console()
    started = time.monotonic()

    def progress(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.1f} s  {line}[/]", highlight=False)

    folder = model or cached_model(progress)
    arguments = ["--dtype", "bfloat16", "--max-model-len", "512", "--max-num-seqs", "16"]
    arguments += compilation_config(mode) if mode else []
    arguments += ["--enforce-eager"] if enforce_eager else []
    arguments += xlite_config(full_mode=full_mode) if backend == "xlite" else []
    arguments += ["--tensor-parallel-size", str(devices)]
    log = user_cache_path("ascend-graph-demo", ensure_exists=True) / "server.log"
    try:
        with Server(folder, log, arguments, progress) as server:
            result = _measure(console, server, folder)
            print(json.dumps(result), flush=True)
            if keep_serving:
                _serve_on(server.url)
    except ServerError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if result["tokens_match_reference"] else 1)


def _measure(console: Console, server: Server, folder: Path) -> dict[str, object]:
    chat = any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json"))
    traffic = send(server.url, list(QUESTIONS)[:_QUESTIONS], chat=chat)
    show_answers(console, traffic.answers)
    answers = traffic.answers
    verdict = judge(folder, [a.prompt_ids for a in answers], [a.token_ids for a in answers])
    for number in sorted({number for number, _ in verdict.wrong}):
        answer, expected = answers[number], verdict.preferred[number]
        console.print(f"[red]tokens differ for {answer.kind} {answer.question!r}[/]")
        console.print(f"  served    {answer.token_ids}\n  reference {expected}", highlight=False)
    result = summary(
        server.graph_stats(),
        traffic,
        ready_s=server.ready_s,
        tokens_match=not verdict.wrong,
        tokens_decided=verdict.decided,
    )
    show_table(console, result)
    return result


def _serve_on(url: str) -> None:
    print(f"serving on {url}/v1 as model 'demo'; Ctrl-C stops it", file=sys.stderr, flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("stopping", file=sys.stderr)


if __name__ == "__main__":
    main()
