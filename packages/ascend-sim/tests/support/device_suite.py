# SPDX-License-Identifier: Apache-2.0
"""Fixtures and hooks for the conftest of every suite that runs torch on the device."""

import os

import pytest
import torch

import ascend_sim

__all__ = [
    "chosen_limits",
    "internal_formats",
    "pytest_configure",
    "stop_at_the_first_device_error",
]


def pytest_configure(config: pytest.Config) -> None:
    # torch_npu says so once per process, whenever an operator of its own asks for a private format.
    config.addinivalue_line(
        "filterwarnings", "ignore:Cannot create tensor with internal format:UserWarning"
    )


@pytest.fixture(autouse=True)
def chosen_limits(request: pytest.FixtureRequest):
    """The limits of operators that the test's mark `device_limits` asks for."""
    mark = request.node.get_closest_marker("device_limits")
    if mark is None:
        yield
        return
    if os.environ.get("ASCEND_SIM") == "off":
        pytest.skip("an NPU has the limits that it has")
    with ascend_sim.device_limits(*mark.args):
        yield


@pytest.fixture(autouse=True)
def stop_at_the_first_device_error(request: pytest.FixtureRequest, chosen_limits: None):
    """A failed task leaves the device in error, as on an NPU: later tests could only fail."""
    yield
    try:
        torch.npu.synchronize()
    except RuntimeError as error:
        request.session.shouldfail = f"{request.node.name} left the device in error: {error}"


@pytest.fixture
def internal_formats():
    """Let tensors have FRACTAL_NZ."""
    torch.npu.config.allow_internal_format = True
    yield
    torch.npu.config.allow_internal_format = False
