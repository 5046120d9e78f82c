# SPDX-License-Identifier: Apache-2.0
"""A stub is loud: it names itself, returns its library's error, and never pretends."""

import re

import pytest

from ascend_sim._coverage import functions

LOAD = """
import ctypes, ascend_sim
ascend_sim.activate()
libraries = {name: ctypes.CDLL(str(ascend_sim.library_path(f"{name}.so"))) for name in
             ("libascendcl", "libacl_op_compiler", "libacl_tdt_channel", "libgraph")}
acl = libraries["libascendcl"]
acl.aclGetRecentErrMsg.restype = ctypes.c_char_p
"""


def test_a_stub_names_itself_once_and_returns_not_supported(python) -> None:
    out = python(
        LOAD
        + """
import os
os.dup2(1, 2)
stub = libraries["libacl_op_compiler"].aclopStartDumpArgs
print(stub(), stub(), flush=True)
print(acl.aclGetRecentErrMsg().decode())
"""
    )
    assert "207000 207000" in out
    assert out.count("[ascend-sim] aclopStartDumpArgs is not implemented by ascend-sim") == 1
    assert re.search(r"aclopStartDumpArgs failed: .*not implemented.*207000", out)


def test_an_operator_by_name_that_is_not_there_is_named(python) -> None:
    out = python(
        LOAD
        + """
print(libraries["libacl_op_compiler"].aclopCompileAndExecute(b"Cummax"))
print(acl.aclGetRecentErrMsg().decode())
"""
    )
    assert out.startswith("207000\n")
    assert "aclopCompileAndExecute(Cummax) is not implemented by ascend-sim" in out


def test_a_stub_that_returns_a_pointer_returns_null(python) -> None:
    out = python(
        LOAD
        + """
stub = libraries["libacl_tdt_channel"].acltdtCreateDataset
stub.restype = ctypes.c_void_p
print(stub())
"""
    )
    assert out.strip() == "None"


def test_a_stub_without_a_way_to_report_throws(python) -> None:
    """Constructors of GE's classes: going on with an unmade object would be undefined."""
    error = python(
        LOAD + "libraries['libgraph']._ZN2ge6TensorC1Ev(ctypes.create_string_buffer(256))\n",
        status=-6,
    )
    assert "ge::Tensor::Tensor() is not implemented by ascend-sim" in error


@pytest.mark.parametrize("name", ["aclopStartDumpArgs", "_ZN2ge6TensorC1Ev", "acltdtCreateDataset"])
def test_these_examples_are_stubs(name: str) -> None:
    (function,) = [f for f in functions() if f.name == name]
    assert function.status == "stub"
