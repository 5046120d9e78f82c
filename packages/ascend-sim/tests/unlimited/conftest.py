# SPDX-License-Identifier: Apache-2.0
"""Operators beyond what a device takes (`limits="off"`): fused attention in fp32, small sizes."""

import ascend_sim

ascend_sim.activate(ascend_sim.SimConfig(limits="off"))  # before torch is imported

import pytest  # noqa: E402
import torch  # noqa: E402
from _recording import *  # noqa: E402, F403


def pytest_configure(config: pytest.Config) -> None:
    # torch_npu says so once per process, whenever an operator of its own asks for a private format.
    config.addinivalue_line(
        "filterwarnings", "ignore:Cannot create tensor with internal format:UserWarning"
    )


@pytest.fixture(autouse=True)
def _stop_at_the_first_device_error(request: pytest.FixtureRequest):
    """A failed task leaves the device in error, as on an NPU: later tests could only fail."""
    yield
    try:
        torch.npu.synchronize()
    except RuntimeError as error:
        request.session.shouldfail = f"{request.node.name} left the device in error: {error}"
