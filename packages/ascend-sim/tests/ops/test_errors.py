# SPDX-License-Identifier: Apache-2.0
"""Bad arguments: CANN's codes, and texts that name the operator and the reason."""

import ctypes

import pytest
import torch
import torch_npu
from _oracle import values

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


def _tensor(libopapi, memory, dtype=FLOAT, format_=ND):
    dims = (ctypes.c_int64 * 1)(len(memory))
    strides = (ctypes.c_int64 * 1)(1)
    return ctypes.c_void_p(
        libopapi.aclCreateTensor(
            dims,
            ctypes.c_uint64(1),
            dtype,
            strides,
            ctypes.c_int64(0),
            format_,
            dims,
            ctypes.c_uint64(1),
            memory,
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


def test_null_executor_and_null_results_are_refused(libopapi):
    memory = (ctypes.c_float * 4)()
    tensor = _tensor(libopapi, memory)
    assert libopapi.aclnnCos(None, ctypes.c_uint64(0), None, None) == NULL_POINTER
    assert libopapi.aclnnCosGetWorkspaceSize(tensor, tensor, None, None) == NULL_POINTER
    assert libopapi.aclDestroyTensor(tensor) == 0


def test_a_handle_of_another_type_is_refused(libopapi, last_error):
    memory = (ctypes.c_float * 4)()
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
def test_unknown_dtype_and_private_format_are_refused(libopapi, last_error, dtype, format_, text):
    tensor = _tensor(libopapi, (ctypes.c_float * 4)(), dtype, format_)
    assert _prepare(libopapi, "aclnnCos", tensor, tensor)[0] == INVALID
    assert text in last_error()
    assert libopapi.aclDestroyTensor(tensor) == 0


def test_an_executor_that_never_runs_can_be_destroyed(libopapi):
    memory = (ctypes.c_float * 4)()
    tensor = _tensor(libopapi, memory)
    status, executor = _prepare(libopapi, "aclnnCos", tensor, tensor)
    assert status == 0
    assert libopapi.aclDestroyAclOpExecutor(executor) == 0
    assert libopapi.aclDestroyTensor(tensor) == 0


def test_an_executor_belongs_to_its_operator(libopapi, last_error):
    memory = (ctypes.c_float * 4)()
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
