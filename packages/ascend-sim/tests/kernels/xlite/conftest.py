# SPDX-License-Identifier: Apache-2.0
"""Kernels of Ascend C programs on the runtime alone, with torch on the CPU as the oracle."""

import ctypes
import os
from collections.abc import Iterator

import pytest

os.environ["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"  # before torch is imported

from acl_abi import Acl
from acl_fixtures import _runtime, acl, chosen_device, library, process, program
from launcher import Kernels

__all__ = ["_runtime", "acl", "chosen_device", "library", "process", "program"]


@pytest.fixture
def kernels(acl: Acl) -> Kernels:
    return Kernels(acl)


@pytest.fixture(autouse=True)
def chosen_limits(request: pytest.FixtureRequest, acl: Acl) -> Iterator[None]:
    """The limits of a device, unless the test is marked `device_limits("off")`."""
    if request.node.get_closest_marker("device_limits") is None:
        yield
        return
    on = ctypes.c_bool(False)
    acl.ok("ascendSimExchangeDeviceLimits", ctypes.byref(on))
    yield
    acl.ok("ascendSimExchangeDeviceLimits", ctypes.byref(on))
