# SPDX-License-Identifier: Apache-2.0
"""Options of the xlite engine and the checks of what it can run; the engine itself comes later."""

from ascend_xlite_bridge._config import XliteConfig
from ascend_xlite_bridge._library import xlite_version
from ascend_xlite_bridge._model_spec import ARCHITECTURES, XliteModelSpec, validate
from ascend_xlite_bridge._version import __version__
from ascend_xlite_bridge.errors import (
    XliteEngineMissingError,
    XliteUnavailableError,
    XliteUnsupportedError,
)

__all__ = [
    "ARCHITECTURES",
    "XliteConfig",
    "XliteEngineMissingError",
    "XliteModelSpec",
    "XliteUnavailableError",
    "XliteUnsupportedError",
    "__version__",
    "validate",
    "xlite_version",
]
