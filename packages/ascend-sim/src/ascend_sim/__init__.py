# SPDX-License-Identifier: Apache-2.0
"""CANN's C ABI on the CPU: what torch_npu needs to run on a machine with no NPU."""

from ascend_sim._version import __version__

__all__ = ["__version__"]
