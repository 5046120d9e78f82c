# SPDX-License-Identifier: Apache-2.0
# The module itself is written by CMake from cmake/_build.py.in.
TORCH_VERSION: str
