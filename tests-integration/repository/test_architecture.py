# SPDX-License-Identifier: Apache-2.0
"""Imports and includes point one way, and the README's picture shows the imports that exist."""

import ast
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {path.name: path / "src" for path in (ROOT / "packages").iterdir()}
PRODUCTS = sorted(PACKAGES.keys() - {"ascend-sim"})
CSRC = ROOT / "packages" / "ascend-sim" / "csrc"

FORBIDDEN = [
    *((product, "ascend-sim") for product in PRODUCTS),
    *(("ascend-sim", product) for product in PRODUCTS),
    *(("ascend-core", name) for name in ("torch", "torch-npu", "vllm")),
    *(("ascend-ops", name) for name in ("torch-npu", "vllm")),
    *(("ascend-xlite-bridge", name) for name in ("ascend-aclgraph", "vllm")),
    *(("ascend-aclgraph", name) for name in ("ascend-xlite-bridge", "vllm")),
]
"""Rules of docs/architecture.md: a package, and what it never imports, even through others."""

Graph = Mapping[str, set[str]]


def modules(source: Path) -> dict[str, Path]:
    """Files of the modules below a folder, by name; a stub stands for what is made in a build."""
    files = {file.relative_to(source).with_suffix(""): file for file in source.rglob("*.py*")}
    files = {path: file for path, file in files.items() if file.suffix in (".py", ".pyi")}
    return {".".join(path.parts).removesuffix(".__init__"): file for path, file in files.items()}


@cache
def imported(file: Path, package: tuple[str, ...]) -> frozenset[str]:
    """Names that a module imports, wherever in it; `package` is where relative ones start."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package[: len(package) + 1 - level] if level else ()
                base += (module,) if module else ()
                found |= {".".join((*base, alias.name)) for alias in names}
    return frozenset(found)


def imports_of_modules(source: Path) -> Graph:
    """Which module of a package imports which."""
    files = modules(source)
    graph = {}
    for name, file in files.items():
        parts = tuple(name.split("."))
        names = imported(file, parts if file.stem == "__init__" else parts[:-1])
        # What is no module is a name in one.
        owners = {each if each in files else each.rpartition(".")[0] for each in names}
        graph[name] = owners & files.keys()
    return graph


@cache
def imports_of_packages() -> Graph:
    """Which distribution imports which packages, the standard library's included."""
    graph = {}
    for package, source in PACKAGES.items():
        names = (name for file in modules(source).values() for name in imported(file, (package,)))
        graph[package] = {name.partition(".")[0].replace("_", "-") for name in names} - {package}
    return graph


def arrows_of_the_picture() -> Graph:
    """Solid arrows between nodes of the first diagram in the README."""
    picture = (ROOT / "README.md").read_text().partition("```mermaid")[2].partition("```")[0]
    graph: dict[str, set[str]] = {}
    for start, end in re.findall(r'^ *([\w-]+)(?:\["[^"]*"\])? --> ([\w-]+)', picture, re.M):
        graph.setdefault(start.replace("_", "-"), set()).add(end.replace("_", "-"))
    return graph


def declared(package: str) -> set[str]:
    """Distributions that a package depends on, without its extras."""
    project = tomllib.loads((PACKAGES[package].parent / "pyproject.toml").read_text())["project"]
    names = (re.split(r"[^\w.-]", requirement)[0] for requirement in project["dependencies"])
    return {name.replace("_", "-") for name in names}


def includes_of_folders(root: Path) -> Graph:
    """Which folder of C++ includes files of which."""
    graph: dict[str, set[str]] = {}
    for file in (*root.rglob("*.h"), *root.rglob("*.cpp")):
        folder = str(file.parent.relative_to(root))
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', file.read_text(), re.M):
            (target, *_) = (
                path for at in (file.parent, root, root / "include") if (path := at / name).exists()
            )
            graph.setdefault(folder, set()).add(str(target.resolve().parent.relative_to(root)))
    return {folder: targets - {folder} for folder, targets in graph.items()}


def reachable(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    waiting = set(graph.get(start, ()))
    while waiting:
        node = waiting.pop()
        found.add(node)
        waiting |= graph.get(node, set()) - found
    return found


def knots(graph: Graph) -> list[set[str]]:
    """Return the sets of nodes that all reach each other and themselves."""
    reach = {node: reachable(graph, node) for node in graph}
    found = {
        frozenset(other for other in reach[node] if node in reach.get(other, ()))
        for node in graph
        if node in reach[node]
    }
    return sorted(map(set, found), key=sorted)


def test_the_picture_shows_the_imports_between_packages() -> None:
    imports, picture = imports_of_packages(), arrows_of_the_picture()
    for package in PACKAGES:
        assert picture.get(package, set()) & PACKAGES.keys() == imports[package] & PACKAGES.keys()
        # Not every arrow to torch is drawn: torch_npu has one.
        assert imports[package] & {"torch", "torch-npu"} <= reachable(picture, package)


@pytest.mark.parametrize("package", PACKAGES)
def test_dependencies_are_what_is_imported(package: str) -> None:
    imports = imports_of_packages()[package]
    assert declared(package) & PACKAGES.keys() == imports & PACKAGES.keys()
    assert imports & {"torch", "torch-npu", "vllm", "click"} <= declared(package)


@pytest.mark.parametrize(("package", "name"), FORBIDDEN)
def test_an_import_is_forbidden_through_others_too(package: str, name: str) -> None:
    assert name not in reachable(imports_of_packages(), package)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_through_others(package: str) -> None:
    assert knots(imports_of_modules(PACKAGES[package])) == []


def test_no_folder_of_the_simulator_includes_itself_through_others() -> None:
    assert knots(includes_of_folders(CSRC)) == []


def test_a_circle_of_imports_is_found(tmp_path: Path) -> None:
    """Given circles through a function, through a package and through a relative import."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("from package.one import name")
    (package / "one.py").write_text("def name():\n    import package.two")
    (package / "two.py").write_text("from package import one")
    (package / "three.py").write_text("from . import four\nfrom package import two")
    (package / "four.py").write_text("from .three import name")

    assert knots(imports_of_modules(tmp_path)) == [
        {"package.four", "package.three"},
        {"package.one", "package.two"},
    ]


def test_a_circle_of_includes_is_found(tmp_path: Path) -> None:
    for folder, other in [("base", "graph"), ("graph", "base"), ("top", "graph")]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "all.h").write_text(f'#include <vector>\n#include "{other}/all.h"\n')

    assert knots(includes_of_folders(tmp_path)) == [{"base", "graph"}]
