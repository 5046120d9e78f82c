# SPDX-License-Identifier: Apache-2.0
"""Where the simulator's libraries are, and whether they are to be used."""

import os
import sys
import sysconfig
from pathlib import Path

from ascend_sim._errors import ActivationError, ConfigError

__all__ = ["LIBRARIES", "is_off", "library_path", "python_path", "toolkit_path"]

_SWITCH = "ASCEND_SIM"

# Dependencies first, so that each finds the others by soname when it is loaded.
LIBRARIES = (
    "libc_sec.so",
    "libascendcl.so",
    "libascend_hal.so",
    "libruntime.so",
    "libregister.so",
    "liberror_manager.so",
    "libprofapi.so",
    "libge_common_base.so",
    "libascendalog.so",
    "libmmpa.so",
    "libascend_dump.so",
    "libhccl.so",
    "libopapi.so",
    "libnnopbase.so",
    "libhcomm.so",
    "libmspti.so",
    "libmsprofiler.so",
    "libatb.so",
    "libacl_op_compiler.so",
    "libacl_tdt_channel.so",
    "libgraph.so",
    "libge_runner.so",
    "libfmk_parser.so",
    "libascend_protobuf.so",
)


def is_off() -> bool:
    """Whether ``ASCEND_SIM=off`` has the simulator leave its place to the CANN that is installed.

    So tests and programs that activate the simulator run on an NPU as they are.

    Raises
    ------
    ConfigError
        If the variable has another value.
    """
    value = os.environ.get(_SWITCH, "")
    if value not in ("", "off"):
        raise ConfigError(f"{_SWITCH}={value!r} is not valid; valid: off, or not set")
    return value == "off"


def library_path(name: str) -> Path:
    """Return the path of one of the simulator's libraries.

    Parameters
    ----------
    name : str
        File name as CANN has it, such as ``"libascendcl.so"``.

    Raises
    ------
    ActivationError
        If ascend-sim has no such library, its installation is incomplete, or it is switched off.
    """
    if is_off():
        raise ActivationError(f"the simulator is switched off ({_SWITCH}=off); this needs it")
    if name not in LIBRARIES:
        raise ActivationError(f"ascend-sim has no {name}; it has {', '.join(LIBRARIES)}")
    # An editable installation keeps Python files in the source tree, libraries in site-packages.
    package = Path(__file__).parent
    for folder in (package, Path(sysconfig.get_path("platlib")) / package.name):
        if (path := folder / "lib" / name).is_file():
            return path
    raise ActivationError(
        f"{name} is missing from the installed ascend-sim. "
        f"Mend it with: {sys.executable} -m pip install --force-reinstall --no-deps ascend-sim"
    )


def toolkit_path() -> Path:
    """Return the folder that stands for a CANN toolkit installation (``ASCEND_HOME_PATH``)."""
    return Path(__file__).parent / "toolkit"


def python_path() -> Path:
    """Return the folder of the toolkit's Python modules: ``acl``, which is pyACL in CANN."""
    return toolkit_path() / "python"
