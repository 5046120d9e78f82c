# SPDX-License-Identifier: Apache-2.0
"""Counters of what the simulator did: in this process, and live from others through files.

The block is written by libascendcl (``csrc/acl/observe/counters.cpp``): the magic ``ASIMCNT1``,
a uint64 ``n``, then n times a name (40 bytes, zero padded) and a uint64 value, in the machine's
byte order.
"""

import ctypes
import struct
from pathlib import Path

from ascend_sim._errors import CountersError
from ascend_sim._library import library_path

__all__ = ["counters", "read_counters"]

_MAGIC = b"ASIMCNT1"
_HEADER = struct.Struct("=8sQ")
_ENTRY = struct.Struct("=40sQ")


def counters() -> dict[str, int]:
    """Return the counters of this process.

    Returns
    -------
    dict of str to int
        ``tasks_launched``, ``kernels_launched``, ``graphs_captured``, ``graph_executions`` (calls
        of ``aclmdlRIExecuteAsync``), ``bytes_copied`` and others; all zero when no device was used.

    Raises
    ------
    CountersError
        If the simulator cannot count, because its configuration is wrong.
    """
    library = ctypes.CDLL(str(library_path("libascendcl.so")))
    export = library.ascendSimCounters
    export.restype = ctypes.c_void_p
    export.argtypes = [ctypes.POINTER(ctypes.c_uint64)]
    size = ctypes.c_uint64()
    address = export(ctypes.byref(size))
    if not address:
        message = library.aclGetRecentErrMsg
        message.restype = ctypes.c_char_p
        raise CountersError((message() or b"no counters").decode())
    return _parse(ctypes.string_at(address, size.value), "ascendSimCounters()")


def read_counters(directory: str | Path) -> dict[int, dict[str, int]]:
    """Return the counters of every process that keeps them in a folder.

    The files are mapped by the processes that own them, so they are current while those run, and
    remain when they end, however they end.

    Parameters
    ----------
    directory : path
        The ``counters_dir`` of the processes' :class:`ascend_sim.SimConfig`.

    Returns
    -------
    dict of int to dict
        Counters as :func:`counters` gives them, by process id.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    CountersError
        If a file in it is not a counter file of this version.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise FileNotFoundError(f"no counters folder {directory}")
    blocks = {int(path.stem): path for path in directory.glob("*.counters") if path.stem.isdigit()}
    contents = {pid: (path, path.read_bytes()) for pid, path in sorted(blocks.items())}
    # A process that is just starting has created its file and not written it yet.
    return {pid: _parse(data, str(path)) for pid, (path, data) in contents.items() if any(data[:8])}


def _parse(data: bytes, source: str) -> dict[str, int]:
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise CountersError(
            f"{source} is not a counter block of this ascend-sim (expected {_MAGIC!r})"
        )
    _, count = _HEADER.unpack_from(data)
    if len(data) < _HEADER.size + count * _ENTRY.size:
        raise CountersError(f"{source} is cut short: {len(data)} bytes for {count} counters")
    entries = _ENTRY.iter_unpack(data[_HEADER.size : _HEADER.size + count * _ENTRY.size])
    return {name.rstrip(b"\0").decode(): value for name, value in entries}
