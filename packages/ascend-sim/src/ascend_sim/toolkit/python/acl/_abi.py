# SPDX-License-Identifier: Apache-2.0
"""Python functions from declarations of C functions, by pyACL's conventions."""

import ctypes
import difflib
from collections.abc import Callable, Iterable, Mapping
from ctypes import c_char_p, c_int
from typing import Any, Self

__all__ = ["Out", "Path", "Text", "bind", "missing"]

_library = ctypes.CDLL("libascendcl.so")  # the one that torch_npu has loaded or will load


class Out:
    """An argument that points to a result: pyACL returns it instead of taking it."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind


class Path(c_char_p):
    """The path of a file, as a str; none by default."""

    @classmethod
    def from_param(cls, value: str | None) -> Self:
        """Encode the path for C."""
        return cls(None if value is None else value.encode())


class Text(c_char_p):
    """Stands first in a declaration: the function returns a text, or None, and no code."""


def bind(declarations: Mapping[str, tuple[Any, ...]]) -> dict[str, Callable[..., Any]]:
    """Return the functions that a table declares.

    Parameters
    ----------
    declarations : mapping
        For each name the C function's, then the types of its arguments in order.
    """
    return {name: _bind(*declaration) for name, declaration in declarations.items()}


def _bind(c_name: str, *kinds: Any) -> Callable[..., Any]:
    if kinds == (Text,):
        function = ctypes.CFUNCTYPE(c_char_p)((c_name, _library))
        function.errcheck = lambda text, *_: None if text is None else text.decode()  # type: ignore[assignment]
        return function
    types = [ctypes.POINTER(kind.kind) if isinstance(kind, Out) else kind for kind in kinds]
    flags = tuple(_flag(kind) for kind in kinds)
    outputs = [place for place, kind in enumerate(kinds) if isinstance(kind, Out)]

    def results(code: int, _function: Any, arguments: tuple[Any, ...]) -> Any:
        values = (arguments[place].value for place in outputs)
        # ctypes reads a null pointer as None.
        return (*(0 if value is None else value for value in values), code) if outputs else code

    function = ctypes.CFUNCTYPE(c_int, *types)((c_name, _library), flags)
    function.errcheck = results  # type: ignore[assignment]  # results become Python's own
    return function


def _flag(kind: Any) -> tuple[Any, ...]:
    """Return ctypes' flag of an argument: 1 is an input, 2 an output, a third item the default."""
    if isinstance(kind, Out):
        return (2,)
    return (1, None, None) if kind is Path else (1,)


def missing(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for a name that a module has not, with those that it has."""
    close = difflib.get_close_matches(name, list(known), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return AttributeError(
        f"{module} of ascend-sim has no {name!r}.{hint} It has {', '.join(sorted(known))}",
        name=name,
    )
