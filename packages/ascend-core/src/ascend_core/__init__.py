# SPDX-License-Identifier: Apache-2.0
"""Devices, versions, streams and errors of Ascend NPUs, with no import of torch."""

from ascend_core import acl, errors, floors
from ascend_core._version import __version__
from ascend_core.errors import AclError, AclLibraryNotFound, AscendError
from ascend_core.floors import ConflictError, VersionError
from ascend_core.options import OptionError, UnknownKeyError, nearest_key

__all__ = [
    "AclError",
    "AclLibraryNotFound",
    "AscendError",
    "ConflictError",
    "OptionError",
    "UnknownKeyError",
    "VersionError",
    "__version__",
    "acl",
    "errors",
    "floors",
    "nearest_key",
]
