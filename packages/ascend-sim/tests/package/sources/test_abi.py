# SPDX-License-Identifier: Apache-2.0
"""The table of the ABI against what is built and what torch_npu asks for.

`nm` and `readelf` are independent of the package's own reader of ELF files.
"""

import ctypes
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ascend_sim import library_path
from ascend_sim._coverage import (
    STATUSES,
    called_operators,
    cann_version,
    functions,
    listing,
    operators,
)
from ascend_sim._elf import dynamic_symbols
from ascend_sim._library import LIBRARIES

needs_nm = pytest.mark.skipif(shutil.which("nm") is None, reason="binutils (nm) is not installed")

# Provided by the C, C++ and Python run times or by torch itself.
FOREIGN = ("_Z", "__", "_ITM", "_Unwind", "Py", "_Py")


# The first phase of an operator, and the variant of it that torch_npu calls before a capture.
PHASE = re.compile(r"Get(Max)?WorkspaceSize$")


# What torch_npu finds with dlsym is in its files as text; so are words of its own that look alike.
LOOKED_UP = re.compile(
    rb"(?<!\w)((?:acl(?:rt|mdl|prof|op|sys|sk|tdt)?[A-Z]|aclshmemx?_|shmem_|Hccl[A-Z]|Hcomm[A-Z]|hal[A-Z]"
    rb"|dcmi_|dcmiv2_|mstx[A-Z]|mspti[A-Z]|Lccl[A-Z]|LcalComm|Aml[A-Z]|aclnn[A-Z])\w+)\0"
)
OWN_WORDS = re.compile(
    r".*(Face|_SendRecv|Base|Togather)$|Hccl(Allgather|Allreduce|CommList)|Lccl(Allgather|Allreduce|CommInit.*)"
    r"|aclProfiling\w+|aclQueryEvent\w+|aclStressDetect|mstxDomain(In|Ex)clude|aclnnNotFound(V2)?"
)
FOURIER = re.compile("aclRfft1D|aclStft")  # operators of libasdsip, named without "nn"


def nm(path: Path, *options: str) -> dict[str, str]:
    """Dynamic symbols and their kind: T defined, W defined weakly, U needed."""
    run = subprocess.run(
        ["nm", "-D", *options, str(path)], check=True, capture_output=True, text=True
    )
    rows = [line.split() for line in run.stdout.splitlines()]
    return {row[-1].partition("@")[0]: row[-2] for row in rows}


def torch_npu_libraries() -> list[Path]:
    spec = importlib.util.find_spec("torch_npu")
    if spec is None or spec.origin is None:
        pytest.skip("torch_npu is not installed: nothing to compare with")
    return sorted(Path(spec.origin).parent.rglob("*.so"))


def built(library: str) -> dict[str, str]:
    return nm(library_path(f"{library}.so"), "--defined-only")


@needs_nm
@pytest.mark.parametrize("library", [name.removesuffix(".so") for name in LIBRARIES])
def test_the_status_of_every_function_is_what_is_built(library: str) -> None:
    symbols = built(library)
    kinds = {"implemented": "T", "approximate": "T", "stub": "W", "absent": None}
    wrong = {
        function.name: (function.status, symbols.get(function.name))
        for function in functions()
        if function.library == library and symbols.get(function.name) != kinds[function.status]
    }
    assert wrong == {}


@needs_nm
@pytest.mark.parametrize("library", [name.removesuffix(".so") for name in LIBRARIES])
def test_every_exported_function_is_in_the_table(library: str) -> None:
    known = {function.name for function in functions() if function.library == library}
    seam = ("_ZN10ascend_sim", "_ZNK10ascend_sim", "ascendSim")
    exported = {PHASE.sub("", name) for name in built(library) if not name.startswith(seam)}
    assert exported - known == set()


@needs_nm
def test_everything_torch_npu_links_against_is_there() -> None:
    """Given what torch_npu's libraries need, and neither torch nor the system has: it is here."""
    libraries = torch_npu_libraries()
    torch = Path(importlib.util.find_spec("torch").origin).parent / "lib"
    provided = set()
    for path in [*libraries, *torch.glob("*.so*")]:
        provided |= nm(path, "--defined-only").keys()
    provided |= {f.name for f in functions() if f.status != "absent"}
    process = ctypes.CDLL(None)  # the C library and the interpreter
    missing = {
        name
        for path in libraries
        for name, kind in nm(path, "--undefined-only").items()
        if kind == "U" and name not in provided and not hasattr(process, name)
    }
    # Versioned symbols of the system's C++ libraries; CANN's own C++ is in these two namespaces.
    cann = ("_ZN2ge", "_ZNK2ge", "_ZN3atb", "_ZNK3atb")
    assert {n for n in missing if n.startswith(cann) or not n.startswith(FOREIGN)} == set()


def test_everything_torch_npu_looks_up_is_in_the_table() -> None:
    """Given the names in the files of torch_npu: the table says what becomes of each."""
    looked_up = {
        PHASE.sub("", match.decode())
        for path in torch_npu_libraries()
        for match in LOOKED_UP.findall(path.read_bytes())
    }
    known = {function.name for function in functions()}
    unknown = {
        name
        for name in looked_up - known
        if not any(longer.startswith(name) for longer in known)  # the text was cut by the linker
    }
    assert {n for n in unknown if not OWN_WORDS.fullmatch(n) and not FOURIER.match(n)} == set()
    assert len(looked_up) > 1000  # the texts were found


def test_the_operators_torch_npu_calls_are_those_of_the_list() -> None:
    called = {
        match.decode()
        for path in torch_npu_libraries()
        for match in re.findall(rb"(aclnn\w+?)GetWorkspaceSize\0", path.read_bytes())
    }
    assert set(called_operators()) == called


def test_what_is_approximate_says_how_it_differs() -> None:
    without = {f.name for f in functions() if f.status == "approximate" and not f.note}
    assert without == set()


def test_a_stub_is_needed_by_torch_npu() -> None:
    """A stub of a function that is only looked up with dlsym would pass for the real one."""
    needed = {
        symbol.name
        for path in torch_npu_libraries()
        for symbol in dynamic_symbols(path)
        if not symbol.defined
    }
    stubs = [f for f in functions() if f.status == "stub" and not f.name.startswith("aclnn")]
    assert {f.name for f in stubs if f.needed_by == "torch_npu"} - needed == set()
    assert {f.name for f in stubs if f.needed_by == "Ascend C"} & needed == set()


def test_an_operator_is_absent_only_where_torch_npu_asks_whether_it_is_there() -> None:
    called = called_operators()
    for function in functions():
        if facts := called.get(function.name):
            absent = "absent" if "probed" in facts else "stub"
            assert function.status in ("implemented", absent), function


def test_the_coverage_of_an_operator_names_the_functions_of_torch() -> None:
    (unpool,) = [f for f in functions() if f.name == "aclnnMaxUnpool2d"]
    assert unpool.status == "stub"
    assert "from torch.ops.aten.max_unpool2d" in listing([unpool])[0]


def test_every_library_torch_npu_names_is_there() -> None:
    if shutil.which("readelf") is None:
        pytest.skip("binutils (readelf) is not installed")
    paths = torch_npu_libraries()
    run = subprocess.run(
        ["readelf", "-d", *map(str, paths)], check=True, capture_output=True, text=True
    )
    needed = {
        line.partition("[")[2].rstrip("]") for line in run.stdout.splitlines() if "(NEEDED)" in line
    }
    own = {path.name for path in paths}
    system = ("libc.", "libm.", "libstdc++.", "libgcc_s.", "libpthread.", "libdl.", "librt.", "ld-")
    torch = ("libtorch", "libc10", "libshm")
    assert {name for name in needed - own if not name.startswith(system + torch)} <= set(LIBRARIES)


@needs_nm
def test_our_reader_of_elf_files_agrees_with_nm() -> None:
    path = library_path("libascendcl.so")
    kinds = nm(path)
    for symbol in dynamic_symbols(path):
        kind = kinds[symbol.name]
        assert symbol.defined == (kind not in "Uw"), symbol
        assert symbol.weak == (kind in "WwVv"), symbol


def test_the_reader_refuses_what_is_no_library(tmp_path) -> None:
    (tmp_path / "text.so").write_text("INPUT(-lfoo)")
    with pytest.raises(ValueError, match="not a 64-bit little-endian ELF file"):
        dynamic_symbols(tmp_path / "text.so")


def test_the_table_uses_the_values_it_documents() -> None:
    for function in functions():
        assert function.status in STATUSES, function
        assert isinstance(function.capture, int) or function.capture in (
            None,
            "recorded",
            "allowed",
            "guarded",
        ), function


@pytest.mark.parametrize(
    "call",
    [
        "acl.aclrtSynchronizeStream(stream)",
        "acl.aclrtSynchronizeDevice()",
        "acl.aclrtStreamQuery(stream, ctypes.byref(ctypes.c_int()))",
        "acl.aclrtDestroyStream(stream)",
        "acl.aclmdlRICaptureBegin(stream, 2)",
        "acl.aclmdlRIDestroy(graph)",
    ],
)
def test_what_a_capture_refuses_is_refused_with_the_code_of_the_table(python, call: str) -> None:
    name = call.partition("(")[0].removeprefix("acl.")
    (function,) = [f for f in functions() if f.name == name]
    out = python(
        f"""
        import ctypes, ascend_sim
        acl = ctypes.CDLL(str(ascend_sim.library_path("libascendcl.so")))
        stream, graph, status = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int()
        assert acl.aclInit(None) == acl.aclrtSetDevice(0) == 0
        assert acl.aclrtCreateStream(ctypes.byref(stream)) == 0
        assert acl.aclmdlRICaptureBegin(stream, 2) == 0
        pointers = ctypes.byref(status), ctypes.byref(graph)
        assert acl.aclmdlRICaptureGetInfo(stream, *pointers) == 0
        print({call})
        """
    )
    assert int(out) == function.capture


def test_operators_come_in_two_phases() -> None:
    found = operators()
    assert "aclnnAdd" in found
    symbols = dynamic_symbols(library_path("libopapi.so"))
    exported = {s.name for s in symbols if s.defined and not s.weak}
    parts = {name for name in exported if name.startswith("aclnn")} - set(found)
    parts -= {"aclnnNpuFormatCastCalculateSizeAndFormat"}  # a question, not an operator
    assert {PHASE.sub("", name) for name in parts} == set(found)


def test_library_and_toolkit_agree_on_the_version(python) -> None:
    out = python(
        """
        import ctypes, ascend_sim
        acl = ctypes.CDLL(str(ascend_sim.library_path("libascendcl.so")))
        text = ctypes.create_string_buffer(128)
        assert acl.aclsysGetVersionStr(b"runtime", text) == 0
        print(text.value.decode())
        """
    )
    assert out.strip() == cann_version()
