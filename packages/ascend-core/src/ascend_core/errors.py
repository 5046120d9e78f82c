# SPDX-License-Identifier: Apache-2.0
"""Typed errors: what happened, why, and what to do next.

`AclError` stands for a call into the Ascend runtime that failed. It has a subclass per `Family` of
the code table (`ascend_core._acl_codes`), so that a caller can handle "no stream left" or "not
possible in a capture" without knowing numbers. `from_torch_error` recovers the same types from the
plain RuntimeError that torch_npu raises.

Names end in "Error", in every package. Only a family's class may be called after what went wrong
alone, as `AclOutOfStreams` is.
"""

import re
from typing import ClassVar

from ascend_core._acl_codes import CODES, AclCode, Family

__all__ = [
    "AclAborted",
    "AclCaptureError",
    "AclDeviceError",
    "AclError",
    "AclInternalError",
    "AclInvalidArgument",
    "AclInvalidState",
    "AclKernelError",
    "AclLibraryNotFoundError",
    "AclNotSupported",
    "AclOutOfEvents",
    "AclOutOfMemory",
    "AclOutOfResources",
    "AclOutOfStreams",
    "AclSymbolNotFoundError",
    "AclTimeout",
    "AscendError",
    "NoDeviceError",
    "class_of",
    "from_code",
    "from_torch_error",
]


class AscendError(Exception):
    """Base of every error that the ascend packages raise on purpose.

    Each also derives from the builtin error that fits, such as `ValueError` or `ImportError`. What
    only a bug in the calling code can cause stays a plain `TypeError`, `KeyError` or
    `AssertionError`.
    """


class AclLibraryNotFoundError(AscendError, ImportError):
    """libascendcl is not on this machine, or not on the library path.

    Parameters
    ----------
    reason
        What the dynamic loader said.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"libascendcl.so cannot be loaded ({self.reason}). There are two solutions:\n"
            "  with an NPU:    install CANN and `source <CANN folder>/set_env.sh` in this shell;\n"
            "  without an NPU: `pip install ascend-sim` and `ascend-sim run -- <your command>`."
        )


class NoDeviceError(AscendError, RuntimeError):
    """CANN is there, but no device is."""

    def __str__(self) -> str:
        return (
            "no NPU is visible to this process. There are two solutions:\n"
            "  with an NPU:    check `npu-smi info` and, in a container, the devices it "
            "was given;\n"
            "  without an NPU: `pip install ascend-sim` and `ascend-sim run -- <your command>`."
        )


class AclSymbolNotFoundError(AscendError, AttributeError):
    """The libascendcl that is loaded does not have a function.

    Parameters
    ----------
    call
        Name of the function.
    """

    def __init__(self, call: str) -> None:
        super().__init__(call)
        self.call = call

    def __str__(self) -> str:
        return (
            f"the installed libascendcl has no function {self.call!r}: it is older than the CANN "
            "that introduced it. Install a newer CANN (`ascend-doctor` prints the version)."
        )


class AclError(AscendError, RuntimeError):
    """A call into the Ascend runtime failed.

    Parameters
    ----------
    code
        What the call returned.
    call
        Name of the function that was called.
    detail
        More about it: the text of `aclGetRecentErrMsg`, or what the caller knows.
    """

    family: ClassVar[Family | None] = None

    def __init__(self, code: int, call: str, detail: str = "") -> None:
        super().__init__(code, call, detail)
        self.code = code
        self.call = call
        self.detail = detail

    @classmethod
    def codes(cls) -> frozenset[int]:
        """Codes of the table that are raised as this class."""
        return frozenset(code for code, entry in CODES.items() if entry.family is cls.family)

    @property
    def entry(self) -> AclCode | None:
        """The row of the code table, or None for a code that is not in it."""
        return CODES.get(self.code)

    @property
    def name(self) -> str:
        """Short name of the code; "UNKNOWN" if the table does not have it."""
        return self.entry.name if self.entry else "UNKNOWN"

    def __str__(self) -> str:
        meaning = self.entry.meaning if self.entry else "a code this version does not know"
        remedy = self.entry.remedy if self.entry else Family.INTERNAL.value
        lines = [f"{self.call} failed with {self.code} {self.name}: {meaning}."]
        if self.detail:
            lines.append(f"Detail: {self.detail.strip()}")
        lines.append(f"What to do: {remedy}")
        return "\n".join(lines)


class AclInvalidArgument(AclError):
    """An argument or handle was refused."""

    family = Family.INVALID_ARGUMENT


class AclInvalidState(AclError):
    """The call came at the wrong time or in the wrong context."""

    family = Family.INVALID_STATE


class AclNotSupported(AclError):
    """Chip, firmware or CANN do not support the call."""

    family = Family.NOT_SUPPORTED


class AclCaptureError(AclError):
    """A rule of graph capture, task groups or graph update was broken.

    That is a kind of cause. A capture that failed, for whatever cause, is
    `ascend_aclgraph.CaptureError`.
    """

    family = Family.CAPTURE


class AclOutOfMemory(AclError):
    """Memory of the device or host is exhausted."""

    family = Family.OUT_OF_MEMORY


class AclOutOfStreams(AclError):
    """Streams, or the queues behind them, are exhausted."""

    family = Family.OUT_OF_STREAMS


class AclOutOfEvents(AclError):
    """Events or notifies are exhausted."""

    family = Family.OUT_OF_EVENTS


class AclOutOfResources(AclError):
    """Another resource of the runtime is exhausted."""

    family = Family.OUT_OF_RESOURCES


class AclTimeout(AclError):
    """A wait ran out of time."""

    family = Family.TIMEOUT


class AclAborted(AclError):
    """The work was aborted on request."""

    family = Family.ABORTED


class AclKernelError(AclError):
    """A kernel or graph failed on the device."""

    family = Family.KERNEL


class AclDeviceError(AclError):
    """The device or its driver is at fault."""

    family = Family.DEVICE


class AclInternalError(AclError):
    """The runtime failed inside."""

    family = Family.INTERNAL


_CLASS_OF = {cls.family: cls for cls in AclError.__subclasses__()}


def class_of(code: int) -> type[AclError]:
    """Subclass that the family of a code has, or plain `AclError` for an unknown code."""
    entry = CODES.get(code)
    return _CLASS_OF[entry.family] if entry else AclError


def from_code(code: int, call: str, detail: str = "") -> AclError:
    """Make the error for a code.

    Parameters
    ----------
    code
        What the call returned; not 0.
    call
        Name of the function that was called.
    detail
        More about it.

    Returns
    -------
    AclError
        Of the class that `class_of` gives.
    """
    return class_of(code)(code, call, detail)


# How torch_npu words a failed call (torch_npu/csrc/core/npu/NPUException.h, OpCommand and HCCL
# variants): "<where> NPU function error: <call>, error code is <code>..." and shorter forms of it.
_CODE = re.compile(r"(?:error code\s*(?:is|:)*|\bACL_ERROR_\w+,)\s*(\d{6})\b", re.IGNORECASE)
# How CANN's report ends, which is all that there is of a call from torch_npu's queue.
_RESULT = re.compile(r"runtime result = (\d{6})\b")
_QUOTED = r"function error:\s*(?:call\s+)?(?:\w+::)*"
# Where the failed call is named, the best place first: as torch_npu quotes it, as CANN reports it
# (the newest report is the first), and a function of torch_npu's own that stands for it.
_CALLS = (
    re.compile(rf"{_QUOTED}((?:acl|hccl)\w+)", re.IGNORECASE),
    re.compile(r"\b((?:acl|hccl)\w+) failed\b", re.IGNORECASE),
    re.compile(rf"{_QUOTED}(\w+)"),
)
# What torch_npu puts between its own line and CANN's report: a stamp, and a remark on the kind of
# code. That on any resource, streams too, is "Failed to apply for memory. Check the remaining
# storage space"; the code says better what is missing.
_REMARK = re.compile(r"^\[ERROR\] .*\n?(?:\[Error\]: .*\n?(?:[ \t]+.*\n?)*)?", re.MULTILINE)
# torch_npu's allocator, and texts of CANN that carry a symbolic code only, or none.
_PHRASES = (
    ("NPU out of memory", 207001),
    ("EL0004", 207001),
    ("EL0009", 207008),
    ("driver error:no stream resource", 207008),
    ("Alloc sq cq fail", 207005),
    ("New capture stream failed", 207005),
    ("driver error:resource alloc fail", 207005),
    ("EL0006", 207011),
)


def from_torch_error(exc: BaseException) -> AclError | None:
    """Recover the typed error from an exception that torch_npu raised.

    Parameters
    ----------
    exc
        What was caught; its `__cause__` and `__context__` are looked at as well.

    Returns
    -------
    AclError or None
        The typed error, with the original text as its detail, less torch_npu's general remark on
        the code; None if the text names no code.
        The original is not chained: `raise error from exc` does that.
    """
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        if isinstance(current, AclError):
            return current
        if error := _from_text(str(current)):
            return error
        seen.add(id(current))
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return None


def _from_text(text: str) -> AclError | None:
    code = _code_in(text)
    return None if code is None else from_code(code, _call_in(text), _REMARK.sub("", text))


def _code_in(text: str) -> int | None:
    if match := _CODE.search(text) or _RESULT.search(text):
        return int(match[1])
    return next((code for phrase, code in _PHRASES if phrase in text), None)


def _call_in(text: str) -> str:
    for pattern in _CALLS:
        if match := pattern.search(text):
            # torch_npu wraps aclrtFoo in a function of its own, AclrtFoo, and quotes either.
            return re.sub("^Acl", "acl", match[1])
    return "a call of torch_npu"
