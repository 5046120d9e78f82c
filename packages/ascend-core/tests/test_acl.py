# SPDX-License-Identifier: Apache-2.0
import ctypes
import subprocess
import sys

import pytest

from ascend_core import AclLibraryNotFoundError, acl, errors


def test_a_machine_without_the_library_says_both_ways_to_go_on():
    code = "from ascend_core import acl; acl.library()"

    result = subprocess.run(
        [sys.executable, "-c", code], env={}, capture_output=True, text=True, timeout=60
    )

    if result.returncode == 0:
        pytest.skip("CANN is in the loader's cache, so its library cannot be hidden")
    assert AclLibraryNotFoundError.__name__ in result.stderr
    assert "set_env.sh" in result.stderr
    assert "ascend-sim run" in result.stderr


def test_importing_the_package_imports_no_torch():
    code = "import ascend_core, sys; print({'torch', 'torch_npu', 'vllm'} & set(sys.modules))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert result.stdout.strip() == "set()"


@pytest.mark.sim
def test_a_call_writes_through_its_pointers(device):
    current = ctypes.c_int32(-1)

    acl.call("aclrtGetDevice", ctypes.byref(current))

    assert current.value == device.index


@pytest.mark.sim
def test_a_code_is_raised_as_its_error_with_the_name_of_the_call(runtime):
    with pytest.raises(errors.AclInvalidArgument) as caught:
        acl.call("aclrtSetDevice", ctypes.c_int32(9999))

    assert caught.value.code == 107001
    assert caught.value.call == "aclrtSetDevice"


@pytest.mark.sim
def test_a_null_pointer_is_refused_by_the_runtime_not_by_a_crash(device):
    with pytest.raises(errors.AclInvalidArgument) as caught:
        acl.call("aclrtMalloc", None, ctypes.c_size_t(64), ctypes.c_int(0))

    assert caught.value.code == 100000


@pytest.mark.sim
def test_a_plain_integer_is_refused_before_it_loses_its_upper_half(runtime):
    with pytest.raises(TypeError, match="aclrtFree"):
        acl.call("aclrtFree", 1 << 40)


@pytest.mark.sim
def test_a_function_that_the_library_lacks_is_named(runtime):
    assert not acl.has("aclrtDoesNotExist")
    with pytest.raises(errors.AclSymbolNotFoundError, match="aclrtDoesNotExist"):
        acl.call("aclrtDoesNotExist")


@pytest.mark.sim
def test_the_library_is_the_one_that_the_rest_of_the_process_uses(runtime):
    assert acl.library() is acl.library()
