# SPDX-License-Identifier: Apache-2.0
"""Errors about options, in one form for every package: which option, which value, what is valid."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

from ascend_core.errors import AscendError

__all__ = [
    "OptionError",
    "SeveralOptionsError",
    "UnknownKeyError",
    "nearest_key",
    "raise_problems",
    "read_options",
]

T = TypeVar("T")


class OptionError(AscendError, ValueError):
    """An option has a value that cannot be used.

    Parameters
    ----------
    option
        Name of the option as the user writes it, with its parents: "xlite_graph_config.enabled".
    value
        What it was set to.
    reason
        Why that cannot be.
    valid
        What it can be set to instead: values, or a description.
    """

    def __init__(self, option: str, value: object, reason: str, valid: object = None) -> None:
        super().__init__(option, value, reason, valid)
        self.option = option
        self.value = value
        self.reason = reason
        self.valid = valid

    def __str__(self) -> str:
        text = f"option {self.option} = {self.value!r}: {self.reason}."
        if self.valid is None:
            return text
        return f"{text} Valid: {_listed(self.valid)}."


class UnknownKeyError(OptionError):
    """An option does not exist.

    Parameters
    ----------
    key
        The key that was given.
    valid
        The keys that exist.
    where
        Name of the mapping it was found in: "additional_config".
    """

    def __init__(self, key: str, valid: Collection[str], where: str = "") -> None:
        self.key = key
        self.where = where
        self.nearest = nearest_key(key, valid)
        option = f"{where}.{key}" if where else key
        super().__init__(option, None, "unknown option", tuple(sorted(valid)))
        self.args = (key, tuple(valid), where)

    def __str__(self) -> str:
        hint = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        return f"unknown option {self.option!r}.{hint} Valid: {_listed(self.valid)}."


class SeveralOptionsError(AscendError, ValueError):
    """Several options cannot be used; each has its line.

    Parameters
    ----------
    problems
        Two or more.
    """

    def __init__(self, problems: Sequence[OptionError]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [f"{len(self.problems)} options cannot be used:", *map(str, self.problems)]
        return "\n  - ".join(lines)


def raise_problems(problems: Iterable[OptionError]) -> None:
    """Raise everything that is wrong with some options in one error.

    Parameters
    ----------
    problems
        What is wrong; nothing happens if there is none.

    Raises
    ------
    OptionError
        If there is one.
    SeveralOptionsError
        If there are several.
    """
    found = list(problems)
    if len(found) == 1:
        raise found[0]
    if found:
        raise SeveralOptionsError(found)


def read_options(kind: type[T], options: object, where: str) -> T:
    """Read options as they come from JSON or a command line.

    Parameters
    ----------
    kind
        A dataclass, whose fields are the options. It checks their values itself.
    options
        A mapping from names of the fields; those that are left out have their defaults.
    where
        Name of the mapping, for messages.

    Raises
    ------
    UnknownKeyError
        If a key is no option; it names the nearest one.
    OptionError
        If it is no mapping.
    """
    if not isinstance(options, Mapping):
        reason = f"it is of type {type(options).__name__}"
        raise OptionError(where, options, reason, "a mapping of options")
    dataclass: Any = kind
    valid = [field.name for field in fields(dataclass)]
    for key in options:
        if key not in valid:
            raise UnknownKeyError(key, valid, where)
    return kind(**options)


def nearest_key(key: str, valid: Collection[str]) -> str | None:
    """Find the valid key that a mistyped one was probably meant to be.

    Parameters
    ----------
    key
        What was typed; case, "-" and "_" are not told apart.
    valid
        The keys that exist.

    Returns
    -------
    str or None
        One of `valid`, or None if nothing is near.
    """
    folded = {_fold(candidate): candidate for candidate in valid}
    matches = get_close_matches(_fold(key), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def _fold(key: str) -> str:
    return key.lower().replace("-", "_")


def _listed(valid: object) -> str:
    if isinstance(valid, str):
        return valid
    if isinstance(valid, Collection):
        return ", ".join(str(item) for item in valid) or "none"
    return str(valid)
