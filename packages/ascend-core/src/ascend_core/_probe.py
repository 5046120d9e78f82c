# SPDX-License-Identifier: Apache-2.0
"""What is on this machine, without touching more of it than was asked for."""

import ctypes
import platform
from dataclasses import dataclass
from pathlib import Path

from ascend_core import acl, versions
from ascend_core._device import Device, MemoryInfo, device_count, soc_name
from ascend_core._partition import Partition
from ascend_core.errors import AclError, AclLibraryNotFoundError

__all__ = ["Probe", "Versions", "probe"]

# A function that the simulator's libascendcl has and CANN's does not.
_SIMULATOR_MARK = "ascendSimCounters"
_CANN_PACKAGE = 0  # "CANN as a whole", as aclsysGetCANNVersion numbers its packages
_VERSION_BYTES = 4096  # more than the struct it fills, which begins with the version as a C string


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of what the packages stand on; None for what is not installed.

    Parameters
    ----------
    python
        Version of the interpreter.
    torch, torch_npu, vllm
        From the metadata of the installed distributions; none of them is imported.
    cann
        As libascendcl reports it.
    """

    python: str
    torch: str | None
    torch_npu: str | None
    vllm: str | None
    cann: str | None


@dataclass(frozen=True, slots=True)
class Probe:
    """What `probe` found.

    Parameters
    ----------
    versions
        Versions of the software.
    library_error
        Why there is no libascendcl; None if there is one. Without it the fields below are empty.
    soc
        Name of the chip, such as "Ascend910B3".
    device_count
        How many devices the process sees.
    simulated
        Whether libascendcl is that of ascend-sim. For logs and reports: no code may compute
        anything else because of it.
    partition
        The container's share of the device, None if it has all of it.
    device
        The device the fields below were asked from; None if they were not asked for.
    streams_available
        How many more streams that device can give.
    memory
        Memory of that device.
    """

    versions: Versions
    library_error: str | None
    soc: str | None
    device_count: int
    simulated: bool
    partition: Partition | None
    device: int | None
    streams_available: int | None
    memory: MemoryInfo | None


def probe(*, streams: bool = False, device: int = 0, root: Path | None = None) -> Probe:
    """Look at the machine.

    Parameters
    ----------
    streams
        Ask the device for its free streams and memory too. That needs a context on the device,
        which is opened if the process has none, and closed again. Never do that in a process that
        will fork workers for the same device.
    device
        The device to ask, and the one whose partition is read.
    root
        Root of the file system that holds the partition's files; see `Partition.read`.

    Returns
    -------
    Probe
        A machine with no NPU gives one too: see its `library_error`.

    Raises
    ------
    AclError
        If libascendcl is there but does not answer.
    PartitionError
        If the partition's file is malformed.
    """
    partition = Partition.read(device, root=root)
    try:
        acl.library()
    except AclLibraryNotFoundError as error:
        return Probe(
            versions=_versions(cann=None),
            library_error=error.reason,
            soc=None,
            device_count=0,
            simulated=False,
            partition=partition,
            device=None,
            streams_available=None,
            memory=None,
        )
    asked = Device(device) if streams else None
    return Probe(
        versions=_versions(cann=_cann_version()),
        library_error=None,
        soc=soc_name(),
        device_count=device_count(),
        simulated=acl.has(_SIMULATOR_MARK),
        partition=partition,
        device=asked.index if asked else None,
        streams_available=asked.streams_available() if asked else None,
        memory=asked.memory_info() if asked else None,
    )


def _versions(*, cann: str | None) -> Versions:
    return Versions(
        python=platform.python_version(),
        torch=versions.installed("torch"),
        torch_npu=versions.installed("torch_npu"),
        vllm=versions.installed("vllm"),
        cann=cann,
    )


def _cann_version() -> str | None:
    version = ctypes.create_string_buffer(_VERSION_BYTES)
    if not acl.has("aclsysGetCANNVersion"):
        return None
    try:
        acl.call("aclsysGetCANNVersion", ctypes.c_int(_CANN_PACKAGE), version)
    except AclError:
        return None  # CANN installed without the file it reads its version from
    return version.value.decode(errors="replace") or None
