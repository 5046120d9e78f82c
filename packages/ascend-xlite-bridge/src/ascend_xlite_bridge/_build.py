# SPDX-License-Identifier: Apache-2.0
"""What the compiled library was built against (written by CMake)."""

TORCH_VERSION = "2.13.0+cpu"
