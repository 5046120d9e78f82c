# SPDX-License-Identifier: Apache-2.0
"""One NPU, seen from the process."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ascend_core import acl
from ascend_core._chip import Feature, lacks, stream_limit
from ascend_core.errors import AclInvalidState

__all__ = ["Device", "MemoryInfo", "device_count", "soc_name"]

_HBM = 1  # the kind of memory that aclrtGetMemInfo is asked about
_ALREADY_INITIALIZED = 100002
_NO_CONTEXT = 107002


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """Memory of a device in bytes."""

    free: int
    total: int


class Device:
    """A device by its number.

    Making one opens nothing. Its queries need a context on the device: they use the process's own
    if there is one (torch_npu's, for example), and otherwise open one and close it again.

    Parameters
    ----------
    index
        Number of the device among those the process sees, from 0.
    """

    def __init__(self, index: int = 0) -> None:
        self.index = index

    def __repr__(self) -> str:
        return f"Device({self.index})"

    @property
    def name(self) -> str:
        """Name of the chip: "Ascend910B3". Opens no context."""
        return soc_name()

    def supports(self, feature: Feature) -> bool:
        """Tell whether the chip has a feature, as far as is known. Opens no context."""
        return not lacks(self.name, feature)

    @property
    def stream_limit(self) -> int | None:
        """Number of streams that the chip has; None if it is not known. Opens no context."""
        return stream_limit(self.name)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the device current in this thread, and put back what was current before.

        Raises
        ------
        AclInvalidArgument
            If there is no device of that number.
        """
        _initialize()
        previous = _current_context()
        acl.call("aclrtSetDevice", ctypes.c_int32(self.index))
        try:
            yield
        finally:
            # Balanced with the call above: CANN counts, and closes the device at zero.
            acl.call("aclrtResetDevice", ctypes.c_int32(self.index))
            if previous is not None:
                acl.call("aclrtSetCurrentContext", previous)

    def memory_info(self) -> MemoryInfo:
        """Ask how much memory of the device is free and how much there is, in bytes."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with self.active():
            acl.call("aclrtGetMemInfo", ctypes.c_int(_HBM), ctypes.byref(free), ctypes.byref(total))
        return MemoryInfo(free.value, total.value)

    def streams_available(self) -> int:
        """Ask how many more streams the device can give, over all its users.

        Graphs take theirs at their first execution on a recent CANN, not at their capture: execute
        once before comparing two counts. Whether other containers' streams are counted is the
        driver's business, and is not known.

        Raises
        ------
        AclSymbolNotFoundError
            If CANN is too old to report it.
        """
        count = ctypes.c_uint32()
        with self.active():
            acl.call("aclrtGetStreamAvailableNum", ctypes.byref(count))
        return count.value


def device_count() -> int:
    """Ask how many devices the process sees; opens no context."""
    count = ctypes.c_uint32()
    acl.call("aclrtGetDeviceCount", ctypes.byref(count))
    return count.value


def soc_name() -> str:
    """Name of the chip; opens no context."""
    return acl.text("aclrtGetSocName")


def _initialize() -> None:
    try:
        acl.call("aclInit", None)
    except AclInvalidState as error:
        if error.code != _ALREADY_INITIALIZED:
            raise


def _current_context() -> ctypes.c_void_p | None:
    context = ctypes.c_void_p()
    try:
        acl.call("aclrtGetCurrentContext", ctypes.byref(context))
    except AclInvalidState as error:
        if error.code != _NO_CONTEXT:
            raise
        return None
    return context
