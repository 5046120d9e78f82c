# SPDX-License-Identifier: Apache-2.0
"""Decoders of vLLM and transformers on xlite, with every input checked that the engine believes."""

from ascend_xlite_bridge._config import XliteConfig
from ascend_xlite_bridge._decoder.decoder import XliteDecoder
from ascend_xlite_bridge._decoder.families import ARCHITECTURES
from ascend_xlite_bridge._decoder.limits import XliteRun, check_run
from ascend_xlite_bridge._decoder.ranks import XliteRanks
from ascend_xlite_bridge._library import XliteLibrary, check_library
from ascend_xlite_bridge._meeting import meet
from ascend_xlite_bridge._model import XliteModel
from ascend_xlite_bridge._step import DeviceStep, HostStep
from ascend_xlite_bridge._step_buffers import StepBuffers
from ascend_xlite_bridge._version import __version__
from ascend_xlite_bridge.errors import (
    XliteClosedError,
    XliteRankError,
    XliteReplacedWeightError,
    XliteStepError,
    XliteUnavailableError,
    XliteUnsupportedError,
    XliteWeightError,
)

__all__ = [
    "ARCHITECTURES",
    "DeviceStep",
    "HostStep",
    "StepBuffers",
    "XliteClosedError",
    "XliteConfig",
    "XliteDecoder",
    "XliteLibrary",
    "XliteModel",
    "XliteRankError",
    "XliteRanks",
    "XliteReplacedWeightError",
    "XliteRun",
    "XliteStepError",
    "XliteUnavailableError",
    "XliteUnsupportedError",
    "XliteWeightError",
    "__version__",
    "check_library",
    "check_run",
    "meet",
]
