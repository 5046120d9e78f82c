# SPDX-License-Identifier: Apache-2.0
"""The module `acl` (pyACL), which comes with activation; values are checked through torch_npu."""

import re
import sys

import pytest

from ascend_sim import _coverage
from ascend_sim._library import python_path

PRELUDE = """
    import ascend_sim
    ascend_sim.activate(ascend_sim.SimConfig(devices=2))
    import acl
"""


def test_only_an_active_simulator_has_the_module(python, cli) -> None:
    code = "import importlib.util; print(importlib.util.find_spec('acl') is not None)"
    assert python(code).strip() == "False"
    assert cli("run", "--", sys.executable, "-c", code).stdout.strip() == "True"
    assert python(PRELUDE + "    print('acl' in dir())").strip() == "True"


def test_a_module_of_the_program_is_not_hidden(python, cli, tmp_path) -> None:
    """Given another acl on PYTHONPATH, as CANN's own is, that one is imported."""
    (tmp_path / "acl.py").write_text("origin = 'mine'")
    code = "import acl; print(acl.origin)"
    path = str(tmp_path)
    assert cli("run", "--", sys.executable, "-c", code, PYTHONPATH=path).stdout == "mine\n"
    assert python(f"import ascend_sim; ascend_sim.activate(); {code}", PYTHONPATH=path) == "mine\n"


def test_copies_meet_the_memory_of_torch_npu(python) -> None:
    """Given a tensor on the device, its bytes come and go by its address."""
    python(
        PRELUDE
        + """
    from acl.rt import memcpy
    import torch

    HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2
    tensor = torch.arange(4, dtype=torch.int32, device="npu")
    torch.npu.synchronize()
    host = torch.zeros(4, dtype=torch.int32)
    assert memcpy(host.data_ptr(), 16, tensor.data_ptr(), 16, DEVICE_TO_HOST) == 0
    assert host.tolist() == [0, 1, 2, 3]

    data = bytes(range(16))
    assert memcpy(tensor.data_ptr(), 16, acl.util.bytes_to_ptr(data), 16, HOST_TO_DEVICE) == 0
    assert tensor.cpu().numpy().tobytes() == data

    numbers = (host + 5).numpy()
    stream, ret = acl.rt.create_stream()
    assert ret == 0
    pinned, ret = acl.rt.malloc_host(16)
    assert ret == 0
    address = acl.util.numpy_to_ptr(numbers)
    assert acl.rt.memcpy_async(tensor.data_ptr(), 16, address, 16, HOST_TO_DEVICE, stream) == 0
    assert acl.rt.memcpy_async(pinned, 16, tensor.data_ptr(), 16, DEVICE_TO_HOST, stream) == 0
    assert acl.rt.synchronize_stream(stream) == 0
    assert acl.util.ptr_to_bytes(pinned, 16) == numbers.tobytes()
    assert acl.rt.free_host(pinned) == acl.rt.destroy_stream(stream) == 0
    """
    )


def test_results_come_before_the_code(python) -> None:
    python(
        PRELUDE
        + """
    assert acl.init() == 0
    assert acl.rt.get_device_count() == (2, 0)
    assert acl.rt.set_device(1) == 0
    assert acl.rt.get_device() == (1, 0)
    assert acl.get_soc_name() == "Ascend910B3"
    free, total, ret = acl.rt.get_mem_info(1)
    assert (total, ret) == (8 << 30, 0)

    address, ret = acl.rt.malloc(1 << 20, 0)
    assert ret == 0
    assert acl.rt.get_mem_info(1)[0] <= free - (1 << 20)
    assert acl.rt.memset(address, 1 << 20, 7, 1 << 20) == 0
    host, ret = acl.rt.malloc_host(4)
    assert acl.rt.memcpy(host, 4, address, 4, 2) == 0
    assert acl.util.ptr_to_bytes(host, 4) == bytes([7]) * 4

    start, _ = acl.rt.create_event()
    end, _ = acl.rt.create_event()
    stream, _ = acl.rt.create_stream()
    for event in (start, end):
        assert acl.rt.record_event(event, stream) == 0
    assert acl.rt.synchronize_event(end) == 0
    assert acl.rt.query_event_status(end) == (1, 0)
    milliseconds, ret = acl.rt.event_elapsed_time(start, end)
    assert ret == 0 and 0 <= milliseconds < 1000
    assert acl.finalize() == 0
    """
    )


def test_errors_are_codes_with_a_message_that_is_read_once(python) -> None:
    python(
        PRELUDE
        + """
    assert acl.rt.set_device(7) == 107001
    assert "107001" in acl.get_recent_err_msg()
    assert acl.get_recent_err_msg() is None
    acl.rt.set_device(0)
    assert acl.rt.malloc(0, 0) == (0, 100000)
    assert acl.rt.malloc(1 << 40, 0) == (0, 207001)
    """
    )


@pytest.mark.parametrize(
    ("use", "complaint"),
    [
        ("acl.rt.memcopy", "AttributeError: acl.rt of ascend-sim has no 'memcopy'. Did you mean"),
        ("acl.mdl", "AttributeError: acl of ascend-sim has no 'mdl'"),
        ("acl.util.dtype_size", "It has bytes_to_ptr, numpy_to_ptr, ptr_to_bytes"),
        ("acl.rt.malloc(16)", "TypeError: not enough arguments"),
        ("acl.rt.malloc('16', 0)", "ArgumentError: argument 2"),
    ],
)
def test_a_wrong_use_is_an_exception(python, use: str, complaint: str) -> None:
    assert complaint in python(PRELUDE + f"    {use}", status=1)


def test_every_function_is_one_that_the_simulator_implements() -> None:
    """The ABI's table, not the module, says what each C function is."""
    source = (python_path() / "acl").glob("*.py")
    text = "".join(path.read_text() for path in source)
    status = {function.name: function.status for function in _coverage.functions()}
    names = set(re.findall(r'"(acl[A-Z]\w+|aclrt\w+)"', text))
    assert len(names) > 50
    assert {status[name] for name in names} <= {"implemented", "approximate"}
