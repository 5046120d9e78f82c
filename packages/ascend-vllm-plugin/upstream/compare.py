# SPDX-License-Identifier: Apache-2.0
"""What became of a name in another version of vLLM."""

import ast
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from upstream.tree import Definition, Kind, SourceTree
from upstream.uses import Use

__all__ = ["Fate", "Outcome", "compare"]


class Fate(Enum):
    """What became of a name; what asks for most work first."""

    GONE = "gone"
    MOVED = "moved"
    NEW = "new"
    """A member of the plugin's own in the old version, which now overrides one of vLLM's."""
    UNKNOWN = "not found"
    """In neither version: look for yourself."""
    SIGNATURE = "signature"
    BODY = "body"
    SAME = "same"


@dataclass(frozen=True)
class Outcome:
    """A use and its fate.

    Attributes
    ----------
    use
        The name, and where the plugin uses it.
    fate
        What became of it.
    detail
        The difference of the signatures, as lines with "-" and "+"; the number of lines that
        the body lost and gained; or the new place.
    """

    use: Use
    fate: Fate
    detail: str = ""


def compare(uses: Iterable[Use], old: SourceTree, new: SourceTree) -> list[Outcome]:
    """Compare two versions of vLLM by the names that are used.

    Parameters
    ----------
    uses
        Of the plugin.
    old, new
        The version that the plugin works with, and the one it is to move to.

    Returns
    -------
    list of Outcome
        By fate, then by name. Members that neither version has are the plugin's own: left out.
    """
    outcomes = [outcome for use in uses if (outcome := _outcome(use, old, new))]
    order = list(Fate)
    return sorted(outcomes, key=lambda outcome: (order.index(outcome.fate), outcome.use))


def _outcome(use: Use, old: SourceTree, new: SourceTree) -> Outcome | None:
    before, after = old.find(use.name), new.find(use.name)
    if before is None and after is None:
        return None if use.how == ("overrides",) else Outcome(use, Fate.UNKNOWN)
    if after is None:
        return _where_it_went(use, old, new)
    if before is None:
        return Outcome(use, Fate.NEW, _signature_text(after))
    if before.kind is not after.kind:
        return Outcome(use, Fate.SIGNATURE, f"- {before.kind.value}\n+ {after.kind.value}")
    if _signature(before) != _signature(after):
        return Outcome(use, Fate.SIGNATURE, _difference(_signature(before), _signature(after)))
    if _body(before) != _body(after):
        changes = _difference(_body(before), _body(after)).splitlines()
        removed = sum(line.startswith("-") for line in changes)
        detail = f"body: -{removed} +{len(changes) - removed} lines"
        return Outcome(use, Fate.BODY, detail)
    return Outcome(use, Fate.SAME)


def _where_it_went(use: Use, old: SourceTree, new: SourceTree) -> Outcome:
    """Look for the class or the function in other modules, and there for the member of a class."""
    parts = use.name.split(".")
    length = next(n for n in range(1, len(parts) + 1) if not old.path(".".join(parts[:n])))
    top, members = parts[length - 1], parts[length:]
    # A replaced attribute of a module is read there and nowhere else.
    if "replaces" not in use.how:
        places = {".".join((found.home, *members)) for found in new.search(top)}
        homes = sorted(place for place in places if new.find(place))
        if homes:
            return Outcome(use, Fate.MOVED, "to " + " or ".join(homes))
    return Outcome(use, Fate.GONE)


def _signature(definition: Definition) -> list[str]:
    """Return what a user of the name depends on, a line for each part."""
    if not definition.nodes:
        return [definition.home]
    if definition.kind is Kind.VALUE:
        return [ast.unparse(definition.annotation)] if definition.annotation else []
    node = definition.nodes[-1]
    if isinstance(node, ast.ClassDef):
        return _class_signature(node)
    assert isinstance(node, ast.FunctionDef)
    decorators = [f"@{ast.unparse(decorator)}" for decorator in node.decorator_list]
    returns = [f"-> {ast.unparse(node.returns)}"] if node.returns else []
    return [*decorators, *_parameters(node.args), *returns]


def _class_signature(node: ast.ClassDef) -> list[str]:
    """Return the bases, and the constructor: its own, or the fields that have no default."""
    bases = [f"class of {ast.unparse(base)}" for base in node.bases]
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return [*bases, *_parameters(member.args)]
    fields = [ast.unparse(m) for m in node.body if isinstance(m, ast.AnnAssign) and m.value is None]
    return [*bases, *fields]


def _parameters(arguments: ast.arguments) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    lines = [_parameter(*pair) for pair in zip(positional, defaults, strict=True)]
    if arguments.vararg:
        lines.append(f"*{ast.unparse(arguments.vararg)}")
    elif arguments.kwonlyargs:
        lines.append("*")
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    lines.extend(_parameter(*pair) for pair in keywords)
    if arguments.kwarg:
        lines.append(f"**{ast.unparse(arguments.kwarg)}")
    return lines


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    shown = ast.unparse(argument)
    return shown if default is None else f"{shown} = {ast.unparse(default)}"


def _signature_text(definition: Definition | None) -> str:
    return "\n".join(f"+ {line}" for line in _signature(definition)) if definition else ""


def _body(definition: Definition) -> list[str]:
    """Return the statements of a function without its docstring, or the values of a value.

    A class has none: of its members, those that are used are names of their own.
    """
    match definition.kind:
        case Kind.VALUE:
            return sorted(ast.unparse(node) for node in definition.nodes)
        case Kind.FUNCTION:
            node = definition.nodes[-1]
            assert isinstance(node, ast.FunctionDef)
            statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
            return "\n".join(map(ast.unparse, statements)).splitlines()
        case _:
            return []


def _difference(old: list[str], new: list[str]) -> str:
    lines = difflib.unified_diff(old, new, n=0, lineterm="")
    shown = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n".join(f"{line[0]} {line[1:]}" for line in shown)
