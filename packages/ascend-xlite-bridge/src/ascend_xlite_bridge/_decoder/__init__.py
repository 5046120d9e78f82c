# SPDX-License-Identifier: Apache-2.0
"""A decoder as the engine sees it: family, sizes, ranks, and what the engine cannot do for it."""

__all__: list[str] = []
