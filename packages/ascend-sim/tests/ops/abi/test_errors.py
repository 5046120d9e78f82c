# SPDX-License-Identifier: Apache-2.0
"""Bad arguments: CANN's codes, and texts that name the operator and the reason."""

import ctypes

import pytest
import torch
import torch_npu
from support.oracle import values

NULL_POINTER, INVALID = 161001, 161002
FLOAT, ND = 0, 2


@pytest.fixture(scope="module")
def libopapi():
    torch.npu.init()  # texts of errors are kept from then on
    library = ctypes.CDLL("libopapi.so")
    for name in ("aclCreateTensor", "aclCreateScalar", "aclCreateIntArray"):
        getattr(library, name).restype = ctypes.c_void_p
    return library


@pytest.fixture(scope="module")
def last_error():
    library = ctypes.CDLL("libascendcl.so")
    library.aclGetRecentErrMsg.restype = ctypes.c_char_p
    return lambda: library.aclGetRecentErrMsg().decode()


@pytest.fixture
def memory():
    """Four numbers on the device."""
    return torch.zeros(4, device="npu")


def _tensor(libopapi, memory, dtype=FLOAT, format_=ND, **view):
    """A handle of a whole tensor, or of a view of it with other `sizes`, `strides`, `offset`."""
    count = memory.untyped_storage().nbytes() // memory.element_size()
    sizes, strides = view.get("sizes", memory.size()), view.get("strides", memory.stride())
    array = ctypes.c_int64 * len(sizes)
    return ctypes.c_void_p(
        libopapi.aclCreateTensor(
            array(*sizes),
            ctypes.c_uint64(len(sizes)),
            dtype,
            array(*strides),
            ctypes.c_int64(view.get("offset", 0)),
            format_,
            (ctypes.c_int64 * 1)(view.get("storage", count)),
            ctypes.c_uint64(1),
            ctypes.c_void_p(view.get("address", memory.data_ptr())),
        )
    )


def _prepare(libopapi, function, *arguments):
    size, executor = ctypes.c_uint64(), ctypes.c_void_p()
    status = getattr(libopapi, function + "GetWorkspaceSize")(
        *arguments, ctypes.byref(size), ctypes.byref(executor)
    )
    return status, executor


def test_null_arguments_are_refused_by_number(libopapi, last_error):
    status, executor = _prepare(libopapi, "aclnnCos", None, None)
    assert (status, executor.value) == (NULL_POINTER, None)
    assert "aclnnCos failed: argument 0 is null" in last_error()


def test_null_executor_and_null_results_are_refused(libopapi, memory):
    tensor = _tensor(libopapi, memory)
    assert libopapi.aclnnCos(None, ctypes.c_uint64(0), None, None) == NULL_POINTER
    assert libopapi.aclnnCosGetWorkspaceSize(tensor, tensor, None, None) == NULL_POINTER
    assert libopapi.aclDestroyTensor(tensor) == 0


def test_a_handle_of_another_type_is_refused(libopapi, last_error, memory):
    tensor = _tensor(libopapi, memory)
    array = ctypes.c_void_p(libopapi.aclCreateIntArray((ctypes.c_int64 * 1)(3), ctypes.c_uint64(1)))
    assert _prepare(libopapi, "aclnnCos", tensor, array)[0] == INVALID
    assert "argument 1 is not a live handle" in last_error()
    assert libopapi.aclDestroyTensor(array) == INVALID
    assert libopapi.aclDestroyIntArray(array) == 0
    assert libopapi.aclDestroyTensor(tensor) == 0


@pytest.mark.parametrize(
    ("dtype", "format_", "text"), [(99, ND, "data type 99"), (FLOAT, 29, "format 29 (FRACTAL_NZ)")]
)
def test_unknown_dtype_and_private_format_are_refused(
    libopapi, last_error, memory, dtype, format_, text
):
    tensor = _tensor(libopapi, memory, dtype, format_)
    assert _prepare(libopapi, "aclnnCos", tensor, tensor)[0] == INVALID
    assert text in last_error()
    assert libopapi.aclDestroyTensor(tensor) == 0


HUGE = 1 << 62


@pytest.mark.parametrize(
    ("view", "text"),
    [
        ({"sizes": (5,)}, "exceeds its storage of 4 elements"),
        ({"strides": (2,)}, "exceeds its storage of 4 elements"),
        ({"offset": 1}, "exceeds its storage of 4 elements"),
        ({"sizes": (1 << 35,), "storage": HUGE}, "are not all in device memory"),
        ({"offset": 1 << 35, "storage": HUGE}, "are not all in device memory"),
        ({"strides": (-1,)}, "negative stride"),
        ({"offset": -1}, "no memory holds"),
        ({"sizes": (HUGE, HUGE), "strides": (0, 0)}, "no memory holds"),
        ({"sizes": (HUGE, 2), "strides": (HUGE, 1)}, "no memory holds"),
        ({"address": 0}, "has no data"),
        ({"address": 4096}, "are not all in device memory"),
    ],
    ids=str,
)
def test_a_view_outside_its_storage_or_outside_device_memory_is_refused(
    libopapi, last_error, memory, view, text
):
    tensor = _tensor(libopapi, memory, **view)
    assert _prepare(libopapi, "aclnnCos", tensor, tensor)[0] in (INVALID, NULL_POINTER)
    assert text in last_error()
    assert libopapi.aclDestroyTensor(tensor) == 0


def test_memory_of_the_host_is_not_the_devices(libopapi, last_error, memory):
    host = torch.zeros(4)
    tensor = _tensor(libopapi, host)
    assert _prepare(libopapi, "aclnnCos", _tensor(libopapi, memory), tensor)[0] == INVALID
    assert "are not all in device memory" in last_error()


def test_any_pointer_can_be_told_from_a_handle(libopapi, last_error, memory):
    tensor = _tensor(libopapi, memory)
    for address in (1, 16, tensor.value + 8, memory.data_ptr(), HUGE):
        assert _prepare(libopapi, "aclnnCos", tensor, ctypes.c_void_p(address))[0] == INVALID
        assert "argument 1 is not a live handle" in last_error()
        assert libopapi.aclDestroyTensor(ctypes.c_void_p(address)) == INVALID
        assert (
            libopapi.aclnnCos(None, ctypes.c_uint64(0), ctypes.c_void_p(address), None) == INVALID
        )
    assert libopapi.aclDestroyTensor(tensor) == 0
    assert libopapi.aclDestroyTensor(tensor) == INVALID


def test_an_executor_runs_once(libopapi, last_error, memory):
    tensor = _tensor(libopapi, memory)
    _, executor = _prepare(libopapi, "aclnnCos", tensor, tensor)
    stream = ctypes.c_void_p(torch.npu.current_stream().npu_stream)
    assert libopapi.aclnnCos(None, ctypes.c_uint64(0), executor, stream) == 0
    assert libopapi.aclnnCos(None, ctypes.c_uint64(0), executor, stream) == INVALID
    assert "not a live executor" in last_error()
    assert libopapi.aclDestroyAclOpExecutor(executor) == INVALID


def test_an_executor_that_never_runs_can_be_destroyed(libopapi, memory):
    tensor = _tensor(libopapi, memory)
    status, executor = _prepare(libopapi, "aclnnCos", tensor, tensor)
    assert status == 0
    assert libopapi.aclDestroyAclOpExecutor(executor) == 0
    assert libopapi.aclDestroyTensor(tensor) == 0


def test_an_executor_belongs_to_its_operator(libopapi, last_error, memory):
    tensor = _tensor(libopapi, memory)
    _, executor = _prepare(libopapi, "aclnnCos", tensor, tensor)
    assert libopapi.aclnnSin(None, ctypes.c_uint64(0), executor, None) == INVALID
    assert "prepared by aclnnCos" in last_error()
    assert libopapi.aclDestroyAclOpExecutor(executor) == 0
    assert libopapi.aclDestroyTensor(tensor) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sparse_mode": 3}, "attenMask must be the"),
        ({"sparse_mode": 7}, "sparseMode 7 is not supported"),
        ({"input_layout": "XYZ"}, "layout"),
        ({"num_heads": 3}, "numHeads"),
        ({"pse_shift": True}, "pseShift is not supported"),
    ],
)
def test_attention_names_the_argument_it_refuses(arguments, text):
    query = values(1, 4, 4, 16, dtype=torch.bfloat16).npu()
    if arguments.pop("pse_shift", False):
        arguments["pse_shift"] = values(1, 4, 4, 4, dtype=torch.bfloat16).npu()
    defaults = {"num_heads": 4, "input_layout": "BSND"}
    with pytest.raises(RuntimeError, match=text):
        _attend_and_wait(query, defaults | arguments)


def _attend_and_wait(query, arguments):
    torch_npu.npu_fused_infer_attention_score(query, query, query, **arguments)
    torch.npu.synchronize()
