# SPDX-License-Identifier: Apache-2.0
"""Capture, replay and update of ACL graphs for any PyTorch program on Ascend NPUs."""

from ascend_aclgraph._cache import GraphCache
from ascend_aclgraph._capture_plan import CapturePlan
from ascend_aclgraph._coverage import Coverage, report_shortage
from ascend_aclgraph._graph import Graph
from ascend_aclgraph._graph_config import GraphConfig
from ascend_aclgraph._graphed import Graphed, GraphKey, Ladder, graphed
from ascend_aclgraph._inputs import InputAddresses
from ascend_aclgraph._options import CaptureErrorMode, CaptureOptions
from ascend_aclgraph._order import UpdateOrder
from ascend_aclgraph._plan import choose_sizes
from ascend_aclgraph._pool import MemoryPool
from ascend_aclgraph._ranks import check_equal_on_ranks, values_on_ranks
from ascend_aclgraph._stats import DescriptorStats, GraphStats
from ascend_aclgraph._steps import StepPath, StepStats
from ascend_aclgraph._task import HostArgs, Update, UpdateRecord
from ascend_aclgraph._updatable import updatable
from ascend_aclgraph._version import __version__
from ascend_aclgraph.errors import CaptureError, GraphInputError, GraphStateError, UpdateError

__all__ = [
    "CaptureError",
    "CaptureErrorMode",
    "CaptureOptions",
    "CapturePlan",
    "Coverage",
    "DescriptorStats",
    "Graph",
    "GraphCache",
    "GraphConfig",
    "GraphInputError",
    "GraphKey",
    "GraphStateError",
    "GraphStats",
    "Graphed",
    "HostArgs",
    "InputAddresses",
    "Ladder",
    "MemoryPool",
    "StepPath",
    "StepStats",
    "Update",
    "UpdateError",
    "UpdateOrder",
    "UpdateRecord",
    "__version__",
    "check_equal_on_ranks",
    "choose_sizes",
    "graphed",
    "report_shortage",
    "updatable",
    "values_on_ranks",
]
