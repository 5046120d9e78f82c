# SPDX-License-Identifier: Apache-2.0
"""Settings that torch_npu makes in the smaller libraries: kept, given back, and checked."""

import ctypes

import pytest

from ascend_sim import activate, library_path

SUCCESS = 0
INVALID_PARAM = 100000
NO_CONTEXT = 107002
JIT_COMPILE, PRECISION_MODE = 10, 0


@pytest.fixture(scope="module")
def compiler() -> ctypes.CDLL:
    activate()  # the library stands on torch's
    library = ctypes.CDLL(str(library_path("libacl_op_compiler.so")))
    library.aclGetCompileoptSize.restype = ctypes.c_size_t
    return library


def read_option(compiler: ctypes.CDLL, option: int) -> str:
    size = compiler.aclGetCompileoptSize(option)
    text = ctypes.create_string_buffer(size)
    assert compiler.aclGetCompileopt(option, text, ctypes.c_size_t(size)) == SUCCESS
    return text.value.decode()


def test_operators_are_not_compiled_at_run_time_by_default(compiler) -> None:
    assert read_option(compiler, JIT_COMPILE) == "disable"


def test_a_compile_option_is_kept(compiler) -> None:
    assert compiler.aclSetCompileopt(PRECISION_MODE, b"must_keep_origin_dtype") == SUCCESS
    assert read_option(compiler, PRECISION_MODE) == "must_keep_origin_dtype"


def test_an_option_without_value_has_size_zero_and_cannot_be_read(compiler) -> None:
    assert compiler.aclGetCompileoptSize(9) == 0
    text = ctypes.create_string_buffer(8)
    assert compiler.aclGetCompileopt(9, text, ctypes.c_size_t(8)) == INVALID_PARAM


def test_a_buffer_that_is_too_short_is_refused(compiler) -> None:
    text = ctypes.create_string_buffer(7)
    assert compiler.aclGetCompileopt(JIT_COMPILE, text, ctypes.c_size_t(7)) == INVALID_PARAM
    assert compiler.aclSetCompileopt(JIT_COMPILE, None) == INVALID_PARAM


def test_system_parameters_of_process_and_context_are_apart(python) -> None:
    python(
        """
        import ctypes, ascend_sim
        ascend_sim.activate()
        load = lambda name: ctypes.CDLL(str(ascend_sim.library_path(name)))
        acl, library = load("libascendcl.so"), load("libacl_op_compiler.so")
        value = ctypes.c_int64(-1)

        def get(function):
            assert function(0, ctypes.byref(value)) == 0
            return value.value

        assert acl.aclInit(None) == 0 and acl.aclrtSetDevice(0) == 0
        assert get(library.aclrtGetSysParamOpt) == get(library.aclrtCtxGetSysParamOpt) == 0
        assert library.aclrtCtxSetSysParamOpt(0, ctypes.c_int64(2)) == 0
        assert library.aclrtSetSysParamOpt(0, ctypes.c_int64(1)) == 0
        assert get(library.aclrtGetSysParamOpt) == 1
        assert get(library.aclrtCtxGetSysParamOpt) == 2
        """
    )


def test_a_context_parameter_needs_a_context(python) -> None:
    out = python(
        """
        import ctypes, ascend_sim
        ascend_sim.activate()
        library = ctypes.CDLL(str(ascend_sim.library_path("libacl_op_compiler.so")))
        print(library.aclrtCtxSetSysParamOpt(0, ctypes.c_int64(1)))
        """
    )
    assert int(out) == NO_CONTEXT


def test_collectives_know_one_setting() -> None:
    hccl = ctypes.CDLL(str(library_path("libhccl.so")))
    value = ctypes.c_int32(-1)
    assert hccl.HcclSetConfig(0, 1) == SUCCESS
    assert hccl.HcclGetConfig(0, ctypes.byref(value)) == SUCCESS
    assert value.value == 1
    assert hccl.HcclSetConfig(7, 1) != SUCCESS
    assert hccl.HcclSetConfig(0, 0) == SUCCESS


def test_the_log_of_a_program_is_printed_only_when_asked_for(python) -> None:
    code = """
        import ctypes, ascend_sim
        acl = ctypes.CDLL(str(ascend_sim.library_path("libascendcl.so")))
        acl.aclAppLog(3, b"Run", b"graph.cpp", 12, b"%d of %s", 3, b"five")
        """
    assert python(code) == ""
    out = python(code, ASCEND_SLOG_PRINT_TO_STDOUT="1")
    assert out == "[ERROR] APP graph.cpp:12 Run: 3 of five\n"
