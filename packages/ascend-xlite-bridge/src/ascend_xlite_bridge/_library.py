# SPDX-License-Identifier: Apache-2.0
"""Whether the xlite library is there; it is not imported."""

import platform
from importlib import metadata

from ascend_xlite_bridge.errors import XliteUnavailableError

__all__ = ["xlite_version"]

_MACHINE = "aarch64"


def xlite_version() -> str:
    """Version of the installed xlite library.

    Raises
    ------
    XliteUnavailableError
        If it is not installed, or if there is no wheel of it for this machine.
    """
    if platform.machine() != _MACHINE:
        raise XliteUnavailableError(f"this machine is {platform.machine()}")
    try:
        return metadata.version("xlite")
    except metadata.PackageNotFoundError as error:
        raise XliteUnavailableError("it is not installed") from error
