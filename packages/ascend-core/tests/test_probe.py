# SPDX-License-Identifier: Apache-2.0
import platform
from importlib import metadata

import pytest

from ascend_core import Device, PartitionError, probe

pytestmark = pytest.mark.sim


def test_the_probe_reports_what_is_installed_and_what_the_library_sees(device, tmp_path):
    found = probe(root=tmp_path)

    assert found.library_error is None
    assert found.versions.python == platform.python_version()
    assert found.versions.cann
    assert found.soc == device.name
    assert found.device_count >= 1
    assert found.partition is None


@pytest.mark.parametrize("name", ["torch", "torch_npu", "vllm"])
def test_versions_are_those_of_the_metadata(runtime, tmp_path, name):
    try:
        expected = metadata.version(name)
    except metadata.PackageNotFoundError:
        expected = None

    assert getattr(probe(root=tmp_path).versions, name) == expected


def test_the_device_is_asked_only_on_request(device, tmp_path):
    silent = probe(root=tmp_path)
    asked = probe(streams=True, root=tmp_path)

    assert (silent.device, silent.streams_available, silent.memory) == (None, None, None)
    assert asked.device == 0
    assert asked.streams_available == Device(0).streams_available()
    assert asked.memory == Device(0).memory_info()


def test_a_probe_opens_no_context_and_imports_no_torch(run_python):
    output = run_python(
        """
import ctypes, sys
import ascend_core
ascend_core.probe()
try:
    ascend_core.acl.call("aclrtGetCurrentContext", ctypes.byref(ctypes.c_void_p()))
except ascend_core.AclError as error:
    print(error.code, "torch" in sys.modules)
"""
    )

    assert output == "107002 False"


def test_a_probe_that_was_asked_closes_its_context(run_python):
    output = run_python(
        """
import ctypes
import ascend_core
assert ascend_core.probe(streams=True).streams_available > 0
try:
    ascend_core.acl.call("aclrtGetCurrentContext", ctypes.byref(ctypes.c_void_p()))
except ascend_core.AclError as error:
    print(error.code)
"""
    )

    assert output == "107002"


def test_a_simulated_device_is_reported_as_such(tmp_path):
    ascend_sim = pytest.importorskip("ascend_sim", reason="ascend-sim is not installed")
    assert ascend_sim  # activated by conftest

    assert probe(root=tmp_path).simulated


def test_a_malformed_partition_is_not_passed_over(tmp_path):
    config = tmp_path / "etc/enpu/vcann-rt/npu_info.config"
    config.parent.mkdir(parents=True)
    config.write_text("aicore-quota=half\n")

    with pytest.raises(PartitionError):
        probe(root=tmp_path)
