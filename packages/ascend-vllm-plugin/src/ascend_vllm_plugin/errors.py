# SPDX-License-Identifier: Apache-2.0
"""Errors of the plugin that no package below has."""

from ascend_core import AscendError

__all__ = ["GraphInputError", "NoDeviceError"]


class GraphInputError(AscendError, AssertionError):
    """A replay was given tensors at other addresses than the captured graph reads."""


class NoDeviceError(AscendError, RuntimeError):
    """CANN is there, but no device is."""

    def __str__(self) -> str:
        return (
            "no NPU is visible to this process. There are two solutions:\n"
            "  with an NPU:    check `npu-smi info` and, in a container, the devices it "
            "was given;\n"
            "  without an NPU: `pip install ascend-sim` and `ascend-sim run -- <your command>`."
        )
