# SPDX-License-Identifier: Apache-2.0
"""What a fault is: something that goes wrong on purpose.

The grammar is checked here and, independently, in ``csrc/acl/instruments/fault.cpp``, which acts
on it.
"""

import difflib
import re
from dataclasses import dataclass, field
from typing import Self

from ascend_sim._errors import ConfigError

__all__ = ["ACTIONS", "KINDS", "Fault"]

ACTIONS = ("fail", "break", "hang", "die", "lose")
KINDS = (
    "malloc",
    "copy",
    "sync",
    "stream",
    "event",
    "capture",
    "update",
    "execute",
    "launch",
    "collective",
    "any",
)
_KEYS = ("nth", "every", "from", "code", "bytes", "device")
_OCCASIONS = ("nth", "every", "from")
_FUNCTION = re.compile(r"(acl|Hccl|ascendSim)\w+")
_CODE = re.compile(r"ACL_\w+|\d+")


@dataclass(frozen=True)
class Fault:
    """A fault in words: ``ACTION:TARGET[,KEY=VALUE]...``.

    Parameters
    ----------
    action : str
        ``"fail"``: the call does nothing and returns a code. ``"break"``: the task fails when it
        runs, and the code surfaces at the next synchronization. ``"hang"``: the stream stops at the
        task. ``"die"``: the process kills itself (SIGKILL) at the call. ``"lose"``: from this call
        on the device does not answer; every call gives 507010.
    target : str
        An ABI function (``"aclrtMalloc"``, ``"aclnnAdd"``), or a kind of functions, one of `KINDS`.
    settings : dict
        When: ``nth`` (the n-th time, counted from 1; the default is the first), ``every`` (every
        n-th) or ``from`` (from the n-th on). What: ``code``, a number or a documented name. Only
        if: ``bytes`` (allocations of at least so many), ``device`` (calls and tasks of this one).
    """

    action: str
    target: str
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the fault that a text describes.

        Raises
        ------
        ConfigError
            If it is none; the error names what is valid.
        """
        action, colon, rest = text.partition(":")
        target, *parts = rest.split(",")
        if not colon or action not in ACTIONS:
            raise _error(text, f"it is ACTION:TARGET[,KEY=VALUE]..., ACTION {_any_of(ACTIONS)}")
        _check_target(text, target)
        settings: dict[str, str] = {}
        for part in parts:
            key, equals, value = part.partition("=")
            if not equals or key not in _KEYS:
                raise _error(text, f"{part!r} is not KEY=VALUE with a KEY {_any_of(_KEYS)}")
            settings[key] = value
        fault = cls(action, target, settings)
        fault._check(text)
        return fault

    def _check(self, text: str) -> None:
        for key, value in self.settings.items():
            if key == "code":
                if not _CODE.fullmatch(value):
                    raise _error(text, f"code={value} is neither a number nor a name ACL_...")
            elif not value.isdecimal() or (key != "device" and int(value) == 0):
                raise _error(text, f"{key}={value} is not a whole number, counted from 1")
        if sum(key in self.settings for key in _OCCASIONS) > 1:
            raise _error(text, "only one of nth, every and from")
        if "code" in self.settings and self.action not in ("fail", "break"):
            raise _error(text, "only fail and break have a code")
        allocates = self.target == "malloc" or self.target.startswith("aclrtMalloc")
        if "bytes" in self.settings and not (allocates and self.action not in ("break", "hang")):
            raise _error(text, "bytes is for allocations: malloc, or a function aclrtMalloc...")

    def __str__(self) -> str:
        settings = "".join(f",{key}={value}" for key, value in self.settings.items())
        return f"{self.action}:{self.target}{settings}"


def _check_target(text: str, target: str) -> None:
    if target in KINDS or _FUNCTION.fullmatch(target):
        return
    close = difflib.get_close_matches(target, KINDS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise _error(text, f"{hint}TARGET is an ABI function or a kind {_any_of(KINDS)}")


def _any_of(words: tuple[str, ...]) -> str:
    return "(" + ", ".join(words) + ")"


def _error(text: str, why: str) -> ConfigError:
    return ConfigError(f"fault {text!r}: {why}")
