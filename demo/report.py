# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: the answers, the table, and one JSON line."""

from typing import Any

from rich.console import Console
from rich.table import Table

from demo.traffic import Answer, Traffic

__all__ = ["show_answers", "show_table", "summary"]


def show_answers(console: Console, answers: list[Answer]) -> None:
    """Print every question with the answer of the server."""
    for answer in answers:
        console.print(f"[bold]{answer.kind:>10}[/]  {answer.question}", highlight=False)
        console.print(f"{'':>10}  [green]{answer.text.strip()}[/]", highlight=False)


def summary(
    stats: dict[str, Any],
    traffic: Traffic,
    *,
    ready_s: float,
    tokens_match: bool,
    tokens_decided: float,
) -> dict[str, Any]:
    """Return the demo's result as one flat JSON object."""
    return {
        "device": stats["device"],
        "simulated": stats["simulated"],
        "backend": stats["backend"],
        "cudagraph_mode": stats["cudagraph_mode"],
        "graphs": stats["graphs"],
        "replays": stats["replays"],
        "steps_by_path": stats["steps_by_path"],
        "decode_steps": stats["decode_steps"],
        "eager_decode_steps": stats["eager_decode_steps"],
        "padding_waste": round(stats["padding_waste"], 4),
        "capture_seconds": round(stats["capture_seconds"], 2),
        "requests": len(traffic.answers),
        "tokens_match_reference": tokens_match,
        "tokens_decided": round(tokens_decided, 4),
        "ready_s": round(ready_s, 1),
        "tokens_per_s": round(traffic.tokens_per_s, 1),
    }


def show_table(console: Console, result: dict[str, Any]) -> None:
    """Print the result as a table; `summary` gives its keys."""
    table = Table(title="Graph mode, end to end", title_justify="left")
    table.add_column("what")
    table.add_column("value", overflow="fold")
    device = f"{result['device']} ({'simulated' if result['simulated'] else 'real NPU'})"
    table.add_row("device", device)
    for key in ("backend", "cudagraph_mode"):
        table.add_row(key, str(result[key]))
    for mode, sizes in result["graphs"].items():
        counts = ", ".join(f"{size}: {count}" for size, count in sizes.items())
        table.add_row(f"graphs per size, {mode}", counts)
    table.add_row("replays", str(result["replays"]))
    for path, causes in result["steps_by_path"].items():
        counts = ", ".join(f"{cause}: {count}" for cause, count in causes.items())
        table.add_row(f"steps, {path}", counts)
    table.add_row(
        "decode steps (eager)", f"{result['decode_steps']} ({result['eager_decode_steps']})"
    )
    table.add_row("padding waste", f"{result['padding_waste']:.1%}")
    table.add_row("capture time", f"{result['capture_seconds']} s")
    table.add_row("time to ready", f"{result['ready_s']} s")
    table.add_row("tokens/s, all requests", str(result["tokens_per_s"]))
    table.add_row("requests", str(result["requests"]))
    match = "yes" if result["tokens_match_reference"] else "NO"
    decided = f"{match} ({result['tokens_decided']:.1%} decided in bf16)"
    table.add_row("tokens equal the reference", decided)
    console.print(table)
