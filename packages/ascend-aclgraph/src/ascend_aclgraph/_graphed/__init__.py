# SPDX-License-Identifier: Apache-2.0
"""Functions of batches, run through one graph per size of batch."""

from ascend_aclgraph._graphed.function import Graphed, GraphKey, graphed
from ascend_aclgraph._graphed.ladder import Ladder

__all__ = ["GraphKey", "Graphed", "Ladder", "graphed"]
