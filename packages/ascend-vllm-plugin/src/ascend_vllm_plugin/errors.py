# SPDX-License-Identifier: Apache-2.0
"""Errors of the plugin that no package below has."""

from ascend_core import AscendError

__all__ = ["GraphInputError", "NoDeviceError", "XliteRankError"]


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


class XliteRankError(AscendError, RuntimeError):
    """Another rank of xlite has ended, or does not end its steps.

    Parameters
    ----------
    reason
        What the communication between the ranks says.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"another rank of xlite did not end its steps ({self.reason}). It may wait for this "
            "one for ever: see what it logged last, and end its process."
        )
