# SPDX-License-Identifier: Apache-2.0
"""Writing a captured graph to a file."""

import os
import warnings
from pathlib import Path
from typing import Any

from ascend_core.errors import from_torch_error

from ascend_aclgraph.errors import DumpError

__all__ = ["dump"]


def dump(native: Any, path: str | os.PathLike[str]) -> Path:
    """Write the tasks of a graph as a Chrome trace (`aclmdlRIDebugJsonPrint`).

    Parameters
    ----------
    native
        torch_npu's graph, captured.
    path
        File to write; its folder must exist.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DumpError
        If it could not be written.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise DumpError(f"the graph cannot be dumped to {path}: its folder does not exist.")
    try:
        with warnings.catch_warnings():
            # torch_npu announces each dump with a warning.
            warnings.filterwarnings("ignore", message="calling NPUGraph::debug_dump")
            native.debug_dump(str(path))
    except RuntimeError as error:
        reason = from_torch_error(error) or error
        raise DumpError(f"the graph cannot be dumped to {path}: {reason}") from error
    if not path.is_file():
        raise DumpError(f"the graph was not dumped to {path}, though ACL reported success.")
    return path
