# SPDX-License-Identifier: Apache-2.0
"""Xlite mode: steps that the engine of xlite runs, in place of graphs.

`check` refuses what xlite cannot do, before anything is loaded; `modes` leaves graphs to the other
steps; `steps` runs its own. What xlite itself takes and does is `ascend_xlite_bridge`'s.
"""

__all__: list[str] = []
