# SPDX-License-Identifier: Apache-2.0
"""Why an engine did not start, said where the user looks: at the end of the output.

Engine and workers are processes of their own. After one of them has failed, vLLM's server ends with
"Engine core initialization failed. See root cause above", pages below that cause. So the worker
leaves the cause in a file, and the process that the user started says it last.
"""

import atexit
import functools
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ascend_core.errors import from_torch_error

__all__ = ["begins_engine", "forget_cause", "say_cause_at_exit"]

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(f"vllm.{__name__}")

_FILE = "ASCEND_VLLM_FAILED_START"
"""Environment variable that names the file to a worker. The file is named after its reader."""


def say_cause_at_exit(folder: str) -> None:
    """Say at this process's end why its engine did not start, if one did not. Idempotent.

    Parameters
    ----------
    folder
        Where its workers can leave the cause. The caller removes it, at exit at the earliest.
    """
    if _FILE not in os.environ:
        os.environ[_FILE] = str(Path(folder, _name_here()))
        atexit.register(_say, Path(os.environ[_FILE]))


def forget_cause() -> None:
    """Drop the cause that an earlier engine of this process left, before the next one starts."""
    if _FILE in os.environ:
        Path(os.environ[_FILE]).unlink(missing_ok=True)


def begins_engine(step: Callable[P, T]) -> Callable[P, T]:
    """Decorate a step of a worker's start: if it fails, the cause is left for the parent process.

    In the process that the user started there is nothing to leave: its traceback ends with it.
    """

    @functools.wraps(step)
    def checked(*args: P.args, **options: P.kwargs) -> T:
        try:
            return step(*args, **options)
        except Exception as error:
            if (name := os.environ.get(_FILE)) and Path(name).name != _name_here():
                with suppress(OSError):  # the server has ended and its folder is gone
                    Path(name).write_text(_text(error), encoding="utf-8")
            raise

    return checked


def _name_here() -> str:
    return f"failed-start-{os.getpid()}"


def _text(error: Exception) -> str:
    known: Any = from_torch_error(error) or error
    return f"{type(known).__name__}: {known}"


def _say(file: Path) -> None:
    if file.exists():
        logger.error("the engine did not start. %s", file.read_text(encoding="utf-8"))
