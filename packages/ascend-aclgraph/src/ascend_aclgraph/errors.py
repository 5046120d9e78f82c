# SPDX-License-Identifier: Apache-2.0
"""Errors of capture, replay and update: what happened, why, and what to try."""

from collections.abc import Collection, Hashable
from typing import Any, Self

from ascend_core.errors import AclError, AscendError, class_of
from ascend_core.options import nearest_key

__all__ = [
    "BatchInputError",
    "CaptureError",
    "DumpError",
    "GraphInputError",
    "GraphStateError",
    "MissingHostArgError",
    "UnknownHostArgError",
    "UpdateError",
]


class CaptureError(AclError):
    """A capture failed; nothing of it is left, so the next capture can succeed.

    An error with a code of ACL is also of the code's family, as an `OSError` with an errno is a
    `FileNotFoundError`: `except AclOutOfStreams` and `except AclOutOfMemory` catch captures that
    failed for that reason, and `except AclCaptureError` those that broke a rule of capture.

    Parameters
    ----------
    code
        Code of ACL, or 0 if the captured function failed for a reason of its own.
    call
        The call that failed.
    detail
        Text of the underlying error.
    label
        What was being captured: the descriptor or size that the caller gave.
    origin
        Path, line, function and expression in the captured code; empty if it is not from there.
    advice
        What to try, most promising first.
    """

    def __new__(cls, code: int, *_args: object, **_options: object) -> Self:
        """Make an error of the subclass for its code."""
        family = _OF_FAMILY.get(class_of(code), cls)
        return super().__new__(family if cls is CaptureError else cls)

    def __init__(
        self,
        code: int,
        call: str,
        detail: str = "",
        *,
        label: Hashable = None,
        origin: str = "",
        advice: Collection[str] = (),
    ) -> None:
        super().__init__(code, call, detail)
        self.label = label
        self.origin = origin
        self.advice = tuple(advice)

    def __reduce__(self) -> tuple[Any, ...]:
        # The class of a family has no name in a module; its code leads there again.
        return (CaptureError, self.args, self.__dict__)

    @property
    def name(self) -> str:
        """Short name of the code; "NONE" if the failure did not come from ACL."""
        return super().name if self.code else "NONE"

    def __str__(self) -> str:
        what = "a graph" if self.label is None else f"the graph {self.label!r}"
        if self.code:
            meaning = f": {self.entry.meaning}" if self.entry else ""
            why = f"{self.call} failed with {self.code} {self.name}{meaning}"
        else:
            why = f"{self.call} raised an error of its own"
        lines = [f"capture of {what} failed: {why}."]
        if self.origin:
            lines.append(f"At: {self.origin}")
        if self.detail:
            lines.append(f"Detail: {self.detail.strip()}")
        lines += [f"Try: {hint}" for hint in self.advice]
        return "\n".join(lines)


# Made, not written: nobody needs the names, since one catches either base.
_OF_FAMILY: dict[type[AclError], type[Any]] = {
    family: type(
        f"CaptureError[{family.__name__}]", (CaptureError, family), {"__module__": __name__}
    )
    for family in AclError.__subclasses__()
    if family.family
}


class GraphStateError(AscendError, RuntimeError):
    """A graph was used in a state that does not allow it: closed, or in use by another thread."""


class GraphInputError(AscendError, AssertionError):
    """A replay was given tensors at other addresses than the captured graph reads."""


class DumpError(AscendError, OSError):
    """A graph could not be written to a file."""


class BatchInputError(AscendError, ValueError):
    """An input or output does not fit the batches of a graphed function."""


class UpdateError(AscendError, RuntimeError):
    """A task with host arguments could not be recorded or updated."""


class UnknownHostArgError(UpdateError, ValueError):
    """An update names a record or a host argument that does not exist.

    Parameters
    ----------
    key
        The name that was given.
    valid
        The names that exist.
    where
        What `valid` are names of.
    """

    def __init__(self, key: str, valid: Collection[str], where: str) -> None:
        super().__init__(key, tuple(valid), where)
        self.key = key
        self.valid = tuple(valid)
        self.where = where
        self.nearest = nearest_key(key, valid)

    def __str__(self) -> str:
        hint = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{self.where} has no {self.key!r}.{hint} Valid: {', '.join(self.valid) or 'none'}."


class MissingHostArgError(UpdateError, ValueError):
    """An update leaves out something, which would then silently keep its last value.

    Parameters
    ----------
    missing
        The names that were left out.
    where
        What they belong to.
    """

    def __init__(self, missing: Collection[str], where: str) -> None:
        super().__init__(tuple(missing), where)
        self.missing = tuple(missing)
        self.where = where

    def __str__(self) -> str:
        return (
            f"the update of {self.where} leaves out {', '.join(self.missing)}: an update gives "
            "every host argument of every record. To repeat the last values, replay without update."
        )
