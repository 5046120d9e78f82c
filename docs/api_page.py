# SPDX-License-Identifier: Apache-2.0
"""The page of the API reference of a package: `api_page.py docs/api/ascend-core.md` writes it."""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["public_modules", "render"]

PACKAGES = Path(__file__).parents[1] / "packages"


def public_modules(package: str) -> list[str]:
    """Names of the modules of a package that are not private, packages before their modules."""
    return sorted(_modules(PACKAGES / package / "src"))


def _modules(source: Path) -> Iterator[str]:
    for path in source.rglob("*.py"):
        parts = path.relative_to(source).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        # The toolkit stands for CANN's folders: its module `acl` has CANN's interface.
        if "toolkit" not in parts and not any(part.startswith("_") for part in parts):
            yield ".".join(parts)


def render(package: str) -> str:
    """Return the page: what the package is, and each of its public modules."""
    project = tomllib.loads((PACKAGES / package / "pyproject.toml").read_text())["project"]
    lines = [f"# {package}", "", f"{project['description']}.", ""]
    for module in public_modules(package):
        directive = ("```{eval-rst}", f".. automodule:: {module}", "   :members:", "```")
        lines += [f"## {module}", "", *directive, ""]
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(Path(sys.argv[1]).stem))
