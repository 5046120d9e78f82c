# SPDX-License-Identifier: Apache-2.0
"""ASCEND_RT_VISIBLE_DEVICES: which devices a process was meant to have, and which it gets.

CANN never complains of the variable. It reads numbers separated by commas up to the first other
character, stops at a device that does not exist, and gives no device at all if the numbers do not
ascend (torch_npu/npu/__init__.py reads it alike). So a mistake shows only as devices that are
missing, which is why it is looked for here.
"""

import os
import re
from collections.abc import Mapping
from itertools import pairwise

from ascend_core.errors import AscendError

__all__ = ["VisibleDevicesError", "check_visible_devices", "parse_visible_devices"]

_VARIABLE = "ASCEND_RT_VISIBLE_DEVICES"
_READ = re.compile(r"[0-9,]*")  # what CANN reads of it


class VisibleDevicesError(AscendError, ValueError):
    """ASCEND_RT_VISIBLE_DEVICES names other devices than the process gets.

    Parameters
    ----------
    value
        The variable.
    reason
        What is wrong with it.
    remedy
        What to set it to.
    """

    def __init__(self, value: str, reason: str, remedy: str) -> None:
        super().__init__(value, reason, remedy)
        self.value = value
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{_VARIABLE}={self.value!r}: {self.reason}. {self.remedy}"


def parse_visible_devices(value: str) -> tuple[int, ...]:
    """Read a list of devices as CANN does, and refuse what CANN would read as another list.

    Parameters
    ----------
    value
        Text of the variable: "0,2,3".

    Returns
    -------
    tuple of int
        Numbers of devices on the machine, ascending; at least one.

    Raises
    ------
    VisibleDevicesError
        If it is empty, has other characters than digits and commas, or its numbers do not ascend.
    """
    if not value.strip():
        reason = "it is set but empty, which hides every device"
        raise VisibleDevicesError(value, reason, "Unset it, or name the devices: 0,1.")
    read = _READ.match(value)[0]  # type: ignore[index]  # it matches anything
    if unread := value[len(read) :].strip():
        reason = f"CANN stops reading at {value[len(read)]!r}, so {unread!r} is lost"
        raise VisibleDevicesError(value, reason, "Use digits and commas only, no spaces: 0,1.")
    numbers = read.rstrip(",").split(",")
    if not all(numbers):
        reason = "CANN stops reading where a number is missing between two commas"
        raise VisibleDevicesError(value, reason, "Separate the numbers by one comma: 0,1.")
    devices = tuple(map(int, numbers))
    if any(later <= earlier for earlier, later in pairwise(devices)):
        reason = "CANN shows no device at all if the numbers do not ascend"
        ascending = ",".join(map(str, sorted(set(devices))))
        raise VisibleDevicesError(value, reason, f"Set it to {ascending}.")
    return devices


def check_visible_devices(count: int, environment: Mapping[str, str] = os.environ) -> None:
    """Check that the process has the devices that its environment names.

    Parameters
    ----------
    count
        How many devices the process sees.
    environment
        Where the variable is looked up. Without it there is nothing to check.

    Raises
    ------
    VisibleDevicesError
        If the variable is malformed, or names a device that the process does not see.
    """
    value = environment.get(_VARIABLE)
    if value is None:
        return
    devices = parse_visible_devices(value)
    if count < len(devices):
        reason = (
            f"there is no device {devices[count]}, and CANN reads no further: of "
            f"{len(devices)} devices this process has {count}"
        )
        remedy = "Name devices that `npu-smi info` lists and, in a container, that it was given."
        raise VisibleDevicesError(value, reason, remedy)
