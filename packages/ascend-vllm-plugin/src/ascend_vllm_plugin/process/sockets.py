# SPDX-License-Identifier: Apache-2.0
"""The folder in which vLLM's processes meet; it is removed at exit."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["in_socket_folder", "make_socket_folder", "remove_socket_folder"]

_VARIABLE = "VLLM_RPC_BASE_PATH"


def make_socket_folder() -> str | None:
    """Give vLLM's processes a folder for their sockets that is removed at exit.

    Reason: neither ZeroMQ nor vLLM removes the files of its sockets; each server leaves several in
    the temporary folder. Child processes find the variable set and use the same folder.
    Goes when: vLLM removes them.

    Returns
    -------
    str or None
        The folder; None if there is one already, the user's or a parent process's.
    """
    if _VARIABLE in os.environ:
        return None
    folder = os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="ascend-vllm-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def in_socket_folder(init_method: str) -> str:
    """Move the file in which a single process "meets" into the folder that is removed at exit.

    Reason: vLLM makes it in the temporary folder and does not remove it.
    Goes when: vLLM removes it.

    Parameters
    ----------
    init_method
        Of torch.distributed, from vLLM: "file://..." for one process, "tcp://..." for several.
    """
    scheme, _, path = init_method.partition("://")
    folder = os.environ.get(_VARIABLE)
    return f"file://{folder}/{Path(path).name}" if scheme == "file" and folder else init_method


def remove_socket_folder() -> None:
    """Remove the folder in place of the process that made it, which has been killed."""
    if folder := os.environ.get(_VARIABLE):
        shutil.rmtree(folder, ignore_errors=True)
