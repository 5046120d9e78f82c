# SPDX-License-Identifier: Apache-2.0
"""Bad input never ends the process: it gives a code, and a text for it.

The calls come from the table of the ABI and from the declarations in the sources, so that a new
function is tried without being named here.
"""

import ctypes
import itertools
import random
import re
import tomllib
from collections.abc import Callable
from ctypes import byref, c_void_p
from pathlib import Path

import pytest
from acl_abi import Acl

ROOT = Path(__file__).parents[2]
DECLARATION = re.compile(r"ASCEND_SIM_ABI\s+([\w ]+?[\s*]+)(\w+)\(([^)]*)\)")

# They wait for ever when the input is good, or end what the tests need.
EXCLUDED = {"aclFinalize", "aclInit", "aclrtResetDevice", "aclrtResetDeviceForce", "aclAppLog"}
EXCLUDED |= {"aclrtGetLastError", "aclrtPeekAtLastError"}  # give codes of calls before
EXCLUDED |= {"mmGetTid"}  # gives a number of its own
EXCLUDED |= {"aclmdlRIAddCondTask"}  # takes a structure: see test_conditionals.py


def declarations() -> dict[str, tuple[str, list[str]]]:
    """What every implemented function of libascendcl returns, and the types of its arguments."""
    table = tomllib.loads((ROOT / "spec/abi.toml").read_text())["libascendcl"]["functions"]
    wanted = {n for n, row in table.items() if row["status"] in ("implemented", "approximate")}
    found = {}
    for path in (ROOT / "csrc").rglob("*.cpp"):
        for returns, name, arguments in DECLARATION.findall(path.read_text()):
            if name in wanted:
                types = [" ".join(a.split()) for a in arguments.split(",") if a.strip()]
                bare = [re.sub(r"(?<=[\s*])[a-z]\w*$", "", t).strip() for t in types]
                found[name] = (returns, bare)
    assert wanted - found.keys() == set(), "no declaration was found"
    return found


HANDLES = ("aclrtStream", "aclrtEvent", "aclmdlRI", "aclrtContext", "aclrtTaskGrp", "aclmdlRITask")
HANDLES += ("aclmdlRICondHandle", "aclrtDrvMemHandle", "aclrtNotify")
HANDLES += ("aclrtBinHandle", "aclrtFuncHandle")
CALLBACKS = ("aclrtHostFunc", "aclrtCallback", "aclmdlRIDestroyCallback")
INTEGERS = {
    "int": ctypes.c_int,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "int64_t": ctypes.c_int64,
}
NUMBERS = (0, 1, 2, 7, 100, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, -1, -2)


class IpcEventHandle(ctypes.Structure):
    _fields_ = [("reserved", ctypes.c_char * 64)]


class Values:
    """Wrong arguments of each type: null, stale, of another kind, garbage.

    Must outlive the calls: addresses of its own memory are among them.
    """

    def __init__(self, acl: Acl) -> None:
        stream, event, graph = acl.stream(), acl.event(), None
        acl.begin(stream)
        graph = acl.end(stream)
        acl.ok("aclmdlRIDestroy", graph)
        acl.ok("aclrtDestroyEvent", event)
        acl.ok("aclrtDestroyStream", stream)
        freed = acl.buffer(1 << 20)
        acl.ok("aclrtFree", freed)
        self.stale = [stream.value, event.value, graph.value]
        live = [acl.stream().value, acl.event().value, acl.buffer().value]
        self.handles = [None, *self.stale, *live, 1, 0x1234, 2**40 + 1, 2**64 - 1]
        self.room = ctypes.create_string_buffer(4096)  # what out-pointers may be written to
        self.callback = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)
        # Raw addresses: nothing there, freed device memory, a block of eight bytes.
        self.addresses = [None, 1, 0x1234, 2**46 + 3, freed.value, acl.buffer().value]

    def of(self, kind: str) -> list[object]:
        if kind in HANDLES:
            return [c_void_p(value) for value in self.handles]
        if kind in CALLBACKS:
            return [None, self.callback]
        if kind in INTEGERS:
            return [INTEGERS[kind](number) for number in NUMBERS]
        if kind in ("void*", "const void*"):
            return [c_void_p(address) for address in self.addresses]
        if kind in ("const char*",):
            return [None, ctypes.c_char_p(b""), ctypes.c_char_p(b"/nowhere/at/all")]
        if kind == "abi::IpcEventHandle":
            return [
                IpcEventHandle(text) for text in (b"", b"x" * 64, b"ascend-sim-ipc-" + b"f" * 16)
            ]
        assert kind.endswith("*"), f"no values for {kind}"
        return [None, byref(self.room)]


# A raw pointer that CANN cannot check either: null or memory.
READS_RAW = {"aclrtSetStreamAttribute", "aclrtMallocHostWithCfg", "aclrtDeviceGetUuid"}
READS_RAW |= {"aclrtReserveMemAddress", "aclmdlRIBuildEnd", "aclrtBinaryLoadFromData"}
LONGEST = 400  # calls of one function


def calls(values: Values, types: list[str], seed: int) -> list[tuple[object, ...]]:
    choices = [values.of(kind) for kind in types]
    every = list(itertools.islice(itertools.product(*choices), 20_000))
    return random.Random(seed).sample(every, min(len(every), LONGEST))


@pytest.mark.parametrize("seed", [0, 1])
def test_no_call_with_bad_input_ends_the_process(process: Callable[..., str], seed: int) -> None:
    """Given any mixture of wrong arguments, then a code comes back; if it is an error, a text."""
    printed = process(
        f"""
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_bad_input as bad
        tried = bad.try_all(acl, {seed})
        print(tried)
        """
    )
    assert int(printed.split()[-1]) > 1000


def try_all(acl: Acl, seed: int) -> int:
    """Call every function with wrong arguments; return the number of calls that failed."""
    failed = 0
    for name, (returns, types) in sorted(declarations().items()):
        if name in EXCLUDED or "..." in types or "Synchronize" in name:
            continue
        values = Values(acl)
        if name in READS_RAW:
            values.addresses = [None, ctypes.addressof(values.room)]
        for arguments in calls(values, types, seed):
            print(name, [getattr(a, "value", a) for a in arguments], flush=True)
            if name in ("aclrtProcessReport", "aclrtSetDevice", "aclrtDestroyContext"):
                acl.ok("aclrtSetDevice", 0)
            acl.message()
            code = getattr(acl, name)(*arguments)
            text = acl.message()
            if "*" not in returns and 100000 <= code < 600000:
                failed += 1
                assert text or name == "aclrtGetDevice", f"{name} -> {code} without a text"
        acl.ok("aclrtResetDeviceForce", 0)
        acl.ok("aclrtSetDevice", 0)
    return failed


# --- sizes and freed memory, said one by one ---


def test_a_copy_beyond_the_block_is_107000(acl: Acl) -> None:
    device, host = acl.buffer(64), ctypes.create_string_buffer(4096)
    assert acl.aclrtMemcpy(device, 4096, host, 4096, 1) == 107000
    assert "more than the block" in acl.message()
    assert acl.aclrtMemcpy(host, 4096, device, 4096, 2) == 107000
    assert acl.aclrtMemset(device, 4096, 0, 4096) == 107000
    assert acl.aclrtMemsetAsync(device, 4096, 0, 4096, acl.stream()) == 107000


def test_a_copy_from_memory_that_is_not_there_is_107000(acl: Acl) -> None:
    device = acl.buffer(64)
    assert acl.aclrtMemcpy(device, 64, c_void_p(0x1234), 64, 1) == 107000
    assert "is not memory of this process" in acl.message()


@pytest.mark.parametrize("size", [8, 64 << 20])
def test_a_copy_from_or_to_freed_device_memory_is_107000(acl: Acl, size: int) -> None:
    device, freed = acl.buffer(64), acl.buffer(size)
    acl.ok("aclrtFree", freed)
    assert acl.aclrtMemcpy(device, 8, freed, 8, 3) == 107000
    assert "freed" in acl.message()
    assert acl.aclrtMemset(freed, 8, 0, 8) == 107000
    assert acl.aclrtMemcpyAsync(freed, 8, device, 8, 3, acl.stream()) == 107000


def test_a_value_in_freed_memory_is_107000(acl: Acl) -> None:
    freed = acl.buffer()
    acl.ok("aclrtFree", freed)
    assert acl.aclrtValueWrite(freed, 1, 0, acl.stream()) == 107000
