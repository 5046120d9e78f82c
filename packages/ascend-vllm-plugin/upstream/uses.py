# SPDX-License-Identifier: Apache-2.0
"""Every name of vLLM that the plugin's sources use, and how they use it."""

import ast
import re
from collections import ChainMap, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from upstream.tree import Definition, Kind, SourceTree

__all__ = ["Occurrence", "Use", "find_uses", "occurrences"]

_QUALIFIED = re.compile(r"vllm(\.\w+)+")
_ENVIRONMENT = re.compile(r"VLLM_[A-Z0-9_]+")


@dataclass(frozen=True)
class Occurrence:
    """One place where the plugin uses a name of vLLM; attributes as in `Use`."""

    name: str
    how: str
    file: Path
    line: int


@dataclass(frozen=True, order=True)
class Use:
    """A name of vLLM that the plugin uses.

    Attributes
    ----------
    name
        Qualified; an inherited member is named in the class through which it is reached.
    how
        Any of "imports", "overrides", "reads" (an attribute or a method), "assigns" (an attribute
        of an object), "replaces" (one of a module or a class), and "names" (in a string: a
        qualified name, or an environment variable, which is one of `vllm.envs`).
    where
        File and line of the first use.
    """

    name: str
    how: tuple[str, ...]
    where: str


def find_uses(tree: SourceTree, package: str, folder: Path) -> list[Use]:
    """Find what a package uses of vLLM.

    Parameters
    ----------
    tree
        With vLLM and the package in it.
    package, folder
        The package, and where its sources are.

    Returns
    -------
    list of Use
        Sorted; one per name.
    """
    places: dict[str, str] = {}
    ways: dict[str, set[str]] = defaultdict(set)
    for each in occurrences(tree, package, folder):
        places.setdefault(each.name, f"{each.file}:{each.line}")
        ways[each.name].add(each.how)
    return [Use(name, tuple(sorted(ways[name])), places[name]) for name in sorted(places)]


def occurrences(tree: SourceTree, package: str, folder: Path) -> Iterator[Occurrence]:
    """Yield every place where a package uses vLLM, file by file; parameters as in `find_uses`."""
    for path in sorted(folder.rglob("*.py")):
        file = path.relative_to(folder)
        module = ".".join((package, *file.with_suffix("").parts)).removesuffix(".__init__")
        reader = _Reader(tree, module)
        reader.visit(ast.parse(path.read_text()))
        for name, how, line in reader.uses:
            yield Occurrence(name, how, file, line)


@dataclass(frozen=True)
class _Reference:
    """What an expression stands for: a module, class or function, or an instance of a class."""

    name: str
    is_instance: bool = False


class _Reader(ast.NodeVisitor):
    """Reads a module; knows types from imports, annotations and the assignment of names."""

    def __init__(self, tree: SourceTree, module: str) -> None:
        self.uses: list[tuple[str, str, int]] = []
        """Name, way and line of each use."""
        self._tree = tree
        self._module = module
        self._scope: ChainMap[str, _Reference | None] = ChainMap()
        self._class: str | None = None

    # What binds names

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            self._scope[alias.asname or alias.name] = self._reference(name)
            self._note(name, "imports", node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        name = f"{self._module}.{node.name}"
        self._scope[node.name] = _Reference(name)
        for member in node.body:
            for attribute in _bound_by(member):
                for base in self._bases_in_vllm(name):
                    self._note(f"{base}.{attribute}", "overrides", member)
        outer, self._class = self._class, name
        self.generic_visit(node)
        self._class = outer

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._scope = self._scope.new_child()
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        for argument in arguments:
            self._scope[argument.arg] = self._instance(argument.annotation)
        if self._class and arguments and arguments[0].arg in ("self", "cls"):
            self._scope[arguments[0].arg] = _Reference(self._class, arguments[0].arg == "self")
        for statement in (*node.args.defaults, *node.body):
            self.visit(statement)
        self._scope = self._scope.parents

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, node.value)
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._scope[node.target.id] = self._instance(node.annotation)
        if node.value:
            self.visit(node.value)

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for each, its in zip(target.elts, value.elts, strict=True):
                self._bind(each, its)
        elif isinstance(target, ast.Name):
            self._scope[target.id] = self._value(value)
        elif isinstance(target, ast.Attribute):
            self._attribute(target, "assigns")
        else:
            self.visit(target)

    # What uses names

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self._attribute(node, "reads") is None:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self._value(node.func)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            if _QUALIFIED.fullmatch(node.value):
                self._note(node.value, "names", node)
            elif _ENVIRONMENT.fullmatch(node.value):
                self._note(f"vllm.envs.{node.value}", "names", node)

    def _value(self, node: ast.expr) -> _Reference | None:
        """Say what an expression stands for, if that is known, and note what it uses."""
        match node:
            case ast.Name(id=name):
                return self._scope.get(name)
            case ast.Attribute():
                return self._attribute(node, "reads")
            case ast.Call(func=ast.Name(id="super")) if self._class:
                base = next(self._bases_in_vllm(self._class), None)
                return _Reference(base, is_instance=True) if base else None
            case ast.Call(func=func):
                return self._result(self._value(func))
            case _:
                return None

    def _attribute(self, node: ast.Attribute, how: str) -> _Reference | None:
        owner = self._value(node.value)
        if owner is None:
            return None
        if how == "assigns" and not owner.is_instance:
            how = "replaces"
        name = f"{owner.name}.{node.attr}"
        definition = self._tree.find(name)
        if definition is not None and _is_of_vllm(definition.home):
            # Reached through a class of the plugin, it is named in the class of vLLM's.
            base = next(self._bases_in_vllm(owner.name), None)
            name = name if base is None else f"{base}.{node.attr}"
        self._note(name, how, node)
        return self._reference(name)

    def _result(self, function: _Reference | None) -> _Reference | None:
        definition = self._tree.find(function.name) if function else None
        if function is None or definition is None:
            return None
        if definition.kind is Kind.CLASS:
            return _Reference(function.name, is_instance=True)
        return _instance_of(self._tree.type_of(definition))

    def _instance(self, annotation: ast.expr | None) -> _Reference | None:
        return _instance_of(self._tree.resolve(annotation, self._module))

    def _reference(self, name: str) -> _Reference | None:
        """Say what a qualified name stands for: of a value, its class is what matters."""
        definition = self._tree.find(name)
        if definition is None or definition.kind is Kind.FOREIGN:
            return None
        if definition.kind is Kind.VALUE or definition.is_property:
            return _instance_of(self._tree.type_of(definition))
        return _Reference(name)

    def _bases_in_vllm(self, name: str) -> Iterator[str]:
        """Yield the nearest classes of vLLM that a class of the plugin derives from."""
        definition = self._tree.find(name)
        if definition is None or definition.kind is not Kind.CLASS or _is_of_vllm(name):
            return
        for base in self._tree.bases(definition):
            if _is_of_vllm(base.home):
                yield base.home
            elif base.kind is Kind.CLASS:
                yield from self._bases_in_vllm(base.home)

    def _note(self, name: str, how: str, node: ast.expr | ast.stmt) -> None:
        if _is_of_vllm(name):
            self.uses.append((name, how, node.lineno))


def _instance_of(definition: Definition | None) -> _Reference | None:
    if definition is None or definition.kind is not Kind.CLASS:
        return None
    return _Reference(definition.home, is_instance=True)


def _is_of_vllm(name: str) -> bool:
    return name.startswith("vllm.")


def _bound_by(member: ast.stmt) -> list[str]:
    match member:
        case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return [] if name.startswith("__") and name != "__call__" else [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case _:
            return []
