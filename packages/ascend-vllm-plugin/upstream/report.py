# SPDX-License-Identifier: Apache-2.0
"""The outcomes as a table."""

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from upstream.compare import Fate, Outcome

__all__ = ["summary", "table"]

_STYLES = {
    Fate.GONE: "bold red",
    Fate.MOVED: "red",
    Fate.NEW: "yellow",
    Fate.UNKNOWN: "yellow",
    Fate.SIGNATURE: "yellow",
    Fate.BODY: "cyan",
    Fate.SAME: "dim",
}


def table(outcomes: Sequence[Outcome], title: str) -> Table:
    """Make a row of each outcome, in the order given."""
    made = Table(title=title, title_justify="left")
    for head in ("became", "name in vLLM", "the plugin", "where", "what differs"):
        made.add_column(head, overflow="fold")
    for outcome in outcomes:
        use = outcome.use
        fate = Text(outcome.fate.value, _STYLES[outcome.fate])
        # As text: brackets in a signature are no markup.
        made.add_row(fate, Text(use.name), ", ".join(use.how), use.where, Text(outcome.detail))
    return made


def summary(outcomes: Sequence[Outcome]) -> str:
    """Count the outcomes by fate."""
    counts = Counter(outcome.fate for outcome in outcomes)
    parts = [f"{counts[fate]} {fate.value}" for fate in Fate if counts[fate]]
    return f"{len(outcomes)} names: {', '.join(parts)}"
