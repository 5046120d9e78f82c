# SPDX-License-Identifier: Apache-2.0
"""Source trees: what a qualified name stands for, found without importing anything."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

__all__ = ["Definition", "Kind", "SourceTree"]


class Kind(Enum):
    """What a name can stand for."""

    MODULE = "module"
    CLASS = "class"
    FUNCTION = "function"
    VALUE = "value"
    FOREIGN = "foreign"
    """Something of a package that is not in the tree."""


@dataclass(frozen=True)
class Definition:
    """What a qualified name stands for.

    Attributes
    ----------
    kind
        Module, class, function, value, or something foreign.
    home
        Qualified name at which it is defined.
    module
        The module it is defined in, in whose scope its annotations and bases are names.
    nodes
        Its statements: one for a class or a function, every assignment for a value.
    """

    kind: Kind
    home: str
    module: str = ""
    nodes: tuple[ast.stmt, ...] = ()

    @property
    def annotation(self) -> ast.expr | None:
        """Annotation of a value, or what a function returns."""
        for node in self.nodes:
            if isinstance(node, ast.AnnAssign):
                return node.annotation
            if isinstance(node, ast.FunctionDef):
                return node.returns
        return None

    @property
    def constructor(self) -> ast.expr | None:
        """What is called to make a value that has no annotation."""
        for node in self.nodes:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                return node.value.func
        return None

    @property
    def is_property(self) -> bool:
        """Whether reading the attribute calls the function."""
        decorators = getattr(self.nodes[0], "decorator_list", []) if self.nodes else []
        return any("property" in ast.unparse(decorator) for decorator in decorators)


class SourceTree:
    """Packages as sources.

    Parameters
    ----------
    packages
        Folder of each top-level package by its name.
    """

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self._packages = dict(packages)
        self.find = cache(self._find)
        self._bindings = cache(self._read_bindings)

    def path(self, module: str) -> Path | None:
        """File of a module, or None if there is no such module."""
        package, *rest = module.split(".")
        if package not in self._packages:
            return None
        folder = self._packages[package].joinpath(*rest)
        files = (folder / "__init__.py", folder.with_name(f"{folder.name}.py"))
        return next((file for file in files if file.is_file()), None)

    def _find(self, name: str) -> Definition | None:
        """Find what a qualified name stands for, through imports and base classes.

        Parameters
        ----------
        name
            Such as "vllm.config.VllmConfig.compilation_config".

        Returns
        -------
        Definition or None
            None if the tree has no such name.
        """
        parts = name.split(".")
        if parts[0] not in self._packages:
            return Definition(Kind.FOREIGN, name)
        for length in range(len(parts), 0, -1):
            module = ".".join(parts[:length])
            if self.path(module):
                return self._within(Definition(Kind.MODULE, module, module), parts[length:])
        return None

    def _within(self, owner: Definition, names: list[str]) -> Definition | None:
        found: Definition | None = owner
        for name in names:
            if found is None or found.kind is Kind.FOREIGN:
                return found
            found = self._member(found, name)
        return found

    def _member(self, owner: Definition, name: str) -> Definition | None:
        if owner.kind is Kind.MODULE:
            return self._in_module(owner.home, name)
        if owner.kind is Kind.CLASS:
            return self._in_class(owner, name)
        return None

    def _in_module(self, module: str, name: str) -> Definition | None:
        nodes = self._bindings(module).get(name, ())
        for node in nodes:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                return self.find(_imported(node, name, module, self._is_package(module)))
        if nodes:
            return _definition(module, f"{module}.{name}", nodes)
        if self.path(f"{module}.{name}"):
            return self.find(f"{module}.{name}")
        for node in self._bindings(module).get("*", ()):
            assert isinstance(node, ast.ImportFrom)
            source = _imported(node, "*", module, self._is_package(module)).removesuffix(".*")
            if self.path(source) and (found := self._in_module(source, name)):
                return found
        return None

    def _in_class(self, owner: Definition, name: str) -> Definition | None:
        (body,) = owner.nodes
        assert isinstance(body, ast.ClassDef)
        own = tuple(_bound(body.body).get(name, ())) or tuple(_assigned_to_self(body, name))
        if own:
            return _definition(owner.module, f"{owner.home}.{name}", own)
        bases = list(self.bases(owner))
        for base in bases:
            if base.kind is Kind.CLASS and (found := self._in_class(base, name)):
                return found
        foreign = [base.home for base in bases if base.kind is Kind.FOREIGN]
        return Definition(Kind.FOREIGN, f"{foreign[0]}.{name}") if foreign else None

    def bases(self, owner: Definition) -> Iterator[Definition]:
        """Yield the direct base classes of a class; those that the tree lacks as foreign."""
        (body,) = owner.nodes
        assert isinstance(body, ast.ClassDef)
        for base in body.bases:
            found = self.resolve(base, owner.module)
            name = ast.unparse(base)
            if name.partition("[")[0] not in ("Generic", "Protocol", "ABC"):
                yield found or Definition(Kind.FOREIGN, name)

    def type_of(self, definition: Definition | None) -> Definition | None:
        """Find the class of a value, or of what a function returns."""
        if definition is None:
            return None
        hint = definition.annotation or definition.constructor
        found = self.resolve(hint, definition.module)
        return found if found and found.kind is Kind.CLASS else None

    def resolve(self, expression: ast.expr | None, module: str) -> Definition | None:
        """Find the class that an annotation or a base names in a module: the first, if several.

        ``X | None``, ``Optional[X]``, ``"X"`` and ``X[...]`` all name ``X``.
        """
        match expression:
            case ast.Constant(value=str(text)):
                return self.resolve(ast.parse(text, mode="eval").body, module)
            case ast.BinOp(left=left, right=right):
                return self.resolve(left, module) or self.resolve(right, module)
            case ast.Subscript(value=ast.Name(id="Optional" | "ClassVar"), slice=inner):
                return self.resolve(inner, module)
            case ast.Subscript(value=value):
                return self.resolve(value, module)
            case ast.Name() | ast.Attribute():
                return self.find(f"{module}.{ast.unparse(expression)}")
            case _:
                return None

    def search(self, name: str) -> Iterator[Definition]:
        """Yield every top-level class or function of a name, wherever it is in the tree."""
        for package, folder in self._packages.items():
            for file in sorted(folder.rglob("*.py")):
                text = file.read_text()
                if f"def {name}(" in text or f"class {name}" in text:
                    module = ".".join((package, *file.relative_to(folder).with_suffix("").parts))
                    found = self.find(f"{module.removesuffix('.__init__')}.{name}")
                    if found and found.kind is not Kind.FOREIGN:
                        yield found

    def _is_package(self, module: str) -> bool:
        path = self.path(module)
        return path is not None and path.name == "__init__.py"

    def _read_bindings(self, module: str) -> dict[str, list[ast.stmt]]:
        path = self.path(module)
        assert path is not None
        return _bound(ast.parse(path.read_text()).body)


def _definition(module: str, home: str, nodes: list[ast.stmt] | tuple[ast.stmt, ...]) -> Definition:
    kinds = {ast.ClassDef: Kind.CLASS, ast.FunctionDef: Kind.FUNCTION}
    last = nodes[-1]  # of several definitions (overloads, alternatives) the last one holds
    kind = kinds.get(type(last), Kind.VALUE)
    return Definition(kind, home, module, tuple(nodes) if kind is Kind.VALUE else (last,))


def _bound(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """Statements that bind each name in a module or a class, also under `if`, `try` and `with`."""
    bound: dict[str, list[ast.stmt]] = {}
    for node in _flat(body):
        for name in _names(node):
            bound.setdefault(name, []).append(node)
    return bound


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from _flat(node.body)
            yield from _flat(getattr(node, "orelse", []))
            for handler in getattr(node, "handlers", []):
                yield from _flat(handler.body)
        else:
            yield node


def _names(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                yield alias.asname or alias.name.partition(".")[0]
        case ast.Assign(targets=targets):
            nodes = (each for target in targets for each in ast.walk(target))
            yield from (each.id for each in nodes if isinstance(each, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _assigned_to_self(body: ast.ClassDef, name: str) -> Iterator[ast.stmt]:
    """Yield the assignments of an attribute in a class's methods."""
    for node in ast.walk(body):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            stored = {ast.unparse(each) for target in targets for each in ast.walk(target)}
            if f"self.{name}" in stored:
                yield node


def _imported(node: ast.Import | ast.ImportFrom, name: str, module: str, is_package: bool) -> str:
    """Qualified name of what an import binds to a name."""
    (alias,) = (a for a in node.names if (a.asname or a.name.partition(".")[0]) == name)
    if isinstance(node, ast.Import):
        return alias.name if alias.asname else name
    if not node.level:
        return f"{node.module}.{alias.name}"
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join((*parts, *([node.module] if node.module else []), alias.name))
