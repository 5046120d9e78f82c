# SPDX-License-Identifier: Apache-2.0
"""Devices of the tests: on a machine without an NPU the simulator, if it is installed, is one."""

import importlib.util

import pytest

if importlib.util.find_spec("ascend_sim") is not None:
    import ascend_sim

    ascend_sim.activate()  # must precede the first import of torch

import torch


@pytest.fixture
def npu() -> torch.device:
    if not (hasattr(torch, "npu") and torch.npu.is_available()):
        pytest.skip("no NPU: neither a device nor ascend-sim with torch_npu is here")
    return torch.device("npu")


@pytest.fixture(params=["cpu", pytest.param("npu", marks=pytest.mark.npu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Run the test on the CPU implementation and on the NPU implementation."""
    return request.getfixturevalue("npu") if request.param == "npu" else torch.device("cpu")
