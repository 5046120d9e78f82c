# SPDX-License-Identifier: Apache-2.0
"""A Sphinx extension: pages that are written when the documentation is built, and not kept."""

import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

__all__ = ["PAGES", "setup"]

PACKAGES = sorted(path.parent.name for path in Path(__file__).parents[1].glob("packages/*/src"))
PAGES = {
    "operators.md": "packages/ascend-sim/generator/operators_page.py",
    "models.md": "tests-integration/support/model_table.py",
    "options.md": "tests-integration/support/options.py",
    **{f"api/{package}.md": "docs/api_page.py" for package in PACKAGES},
}
"""Page -> the program that writes it, to the file that is its argument. `.gitignore` has them."""


def _write_pages(app: Sphinx) -> None:
    folder = Path(app.srcdir)
    for page, program in PAGES.items():
        subprocess.run([sys.executable, folder.parent / program, folder / page], check=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for its sources."""
    app.connect("builder-inited", _write_pages)
    return {"parallel_read_safe": True}
