# SPDX-License-Identifier: Apache-2.0
"""Whole models as plain torch modules on torch_npu's fused operators, `transformers` the oracle.

Parity is shown in fp32, which fused attention on a device does not take: the limits are off.
"""

import ascend_sim

ascend_sim.activate(ascend_sim.SimConfig(limits="off"))  # before torch is imported

import pytest  # noqa: E402
from support.recording import (  # noqa: E402
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_runtest_call,
    pytest_sessionfinish,
    pytest_sessionstart,
)

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_sessionfinish",
    "pytest_sessionstart",
]


def pytest_configure(config: pytest.Config) -> None:
    # What torch_npu does by itself: an operator of its own asks for a private format, its deepcopy
    # looks at a typed storage.
    for text in ("Cannot create tensor with internal format", "TypedStorage is deprecated"):
        config.addinivalue_line("filterwarnings", f"ignore:{text}:UserWarning")
