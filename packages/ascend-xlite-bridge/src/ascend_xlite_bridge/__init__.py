# SPDX-License-Identifier: Apache-2.0
"""Options of the xlite engine and the checks of what it can run; the engine itself comes later."""

from ascend_xlite_bridge._config import XliteConfig
from ascend_xlite_bridge._library import xlite_version
from ascend_xlite_bridge._model_spec import ARCHITECTURES, XliteModelSpec, validate
from ascend_xlite_bridge._version import __version__
from ascend_xlite_bridge.errors import XliteEngineMissing, XliteUnavailable, XliteUnsupported

__all__ = [
    "ARCHITECTURES",
    "XliteConfig",
    "XliteEngineMissing",
    "XliteModelSpec",
    "XliteUnavailable",
    "XliteUnsupported",
    "__version__",
    "validate",
    "xlite_version",
]
