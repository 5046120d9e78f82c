# SPDX-License-Identifier: Apache-2.0
"""The life of vLLM's processes: what they leave on disk, how they end, why one did not start."""

__all__: list[str] = []
