# SPDX-License-Identifier: Apache-2.0
"""The version of ascend-xlite-bridge: this file is the only place it is written."""

__version__ = "0.1.0"
