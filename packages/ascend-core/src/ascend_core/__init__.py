# SPDX-License-Identifier: Apache-2.0
"""Devices, versions, streams and errors of Ascend NPUs, with no import of torch."""

from ascend_core import acl, errors, versions
from ascend_core._chip import Feature
from ascend_core._device import Device, MemoryInfo
from ascend_core._partition import Partition, PartitionError, SchedulingPolicy
from ascend_core._probe import Probe, Versions, probe
from ascend_core._stream_supply import StreamBudget, StreamSupply
from ascend_core._version import __version__
from ascend_core._visible_devices import (
    VisibleDevicesError,
    check_visible_devices,
    parse_visible_devices,
)
from ascend_core.errors import (
    AclCaptureError,
    AclError,
    AclLibraryNotFoundError,
    AclOutOfMemory,
    AclOutOfStreams,
    AscendError,
    NoDeviceError,
)
from ascend_core.options import (
    OptionError,
    SeveralOptionsError,
    UnknownKeyError,
    nearest_key,
    raise_problems,
    read_options,
)
from ascend_core.versions import ConflictError, VersionError

__all__ = [
    "AclCaptureError",
    "AclError",
    "AclLibraryNotFoundError",
    "AclOutOfMemory",
    "AclOutOfStreams",
    "AscendError",
    "ConflictError",
    "Device",
    "Feature",
    "MemoryInfo",
    "NoDeviceError",
    "OptionError",
    "Partition",
    "PartitionError",
    "Probe",
    "SchedulingPolicy",
    "SeveralOptionsError",
    "StreamBudget",
    "StreamSupply",
    "UnknownKeyError",
    "VersionError",
    "Versions",
    "VisibleDevicesError",
    "__version__",
    "acl",
    "check_visible_devices",
    "errors",
    "nearest_key",
    "parse_visible_devices",
    "probe",
    "raise_problems",
    "read_options",
    "versions",
]
