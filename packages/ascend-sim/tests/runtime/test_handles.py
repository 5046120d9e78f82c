# SPDX-License-Identifier: Apache-2.0
"""No handle that is stale, of another kind or invented is ever taken for an object.

The functions come from the spec and their parameters from the sources: a new function is tried
without being named here.
"""

import ctypes
import re
import tomllib
from ctypes import byref, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import pytest
from acl_abi import Acl, CondTaskParams
from support.device_binary import DeviceKernel, device_elf

PACKAGE = Path(__file__).parents[2]
HANDLES = {
    "aclrtStream": "stream",
    "aclrtEvent": "event",
    "aclmdlRI": "graph",
    "aclmdlRITask": "task",
    "aclmdlRICondHandle": "condition",
    "aclrtTaskGrp": "group",
    "aclrtContext": "context",
    "aclrtDrvMemHandle": "physical",
    "aclrtNotify": "notify",
    "aclrtBinHandle": "binary",
    "aclrtFuncHandle": "function handle",
}
FUNCTIONS = ("aclrtHostFunc", "aclrtCallback", "aclmdlRIDestroyCallback")
CALLBACK = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)
DEFINITION = re.compile(r"ASCEND_SIM_ABI\s+[\w\s*]+?\b(\w+)\(([^)]*)\)\s*\{")

FLAGS_ARE_ZERO = {
    "aclmdlRIAddCondTask",
    "aclrtLaunchKernelWithHostArgs",
    "aclrtStreamWaitEventWithFlag",
    "aclrtValueWrite",
}
"""They check a number, which must be 0 here, before a handle."""

CHECKED_LATER = {("aclmdlRIEndTask", 1)}
"""Only looked at when the graph is one that is built, and then tried in the suite of builds."""


def kind_of(parameter: str) -> str:
    """A kind of handle, or ``pointer``, ``function``, ``parameters`` (by value) or ``number``."""
    words = [word for word in parameter.replace("*", " * ").split() if word != "const"]
    if "*" in words:
        return "pointer"
    if words[0] in FUNCTIONS:
        return "function"
    return HANDLES.get(words[0], "parameters" if words[0] == "TaskParams" else "number")


def functions_with_handles() -> dict[str, list[str]]:
    """The kinds of the parameters of every implemented function that takes a handle."""
    spec = tomllib.loads((PACKAGE / "spec" / "abi.toml").read_text())["libascendcl"]["functions"]
    sources = (path.read_text() for path in (PACKAGE / "csrc" / "acl").rglob("*.cpp"))
    found = {name: text for source in sources for name, text in DEFINITION.findall(source)}
    kinds = {
        name: [kind_of(parameter) for parameter in found[name].split(",") if parameter.strip()]
        for name, entry in spec.items()
        if entry["status"] in ("implemented", "approximate") and name in found
    }
    takes_one = {*HANDLES.values(), "parameters"}
    return {name: of for name, of in kinds.items() if takes_one & {*of}}


CASES = [
    (name, position)
    for name, kinds in functions_with_handles().items()
    for position, kind in enumerate(kinds)
    if kind in {*HANDLES.values(), "parameters"} and (name, position) not in CHECKED_LATER
]


class Objects:
    """One object of every kind that has handles."""

    def __init__(self, acl: Acl) -> None:
        captured, condition, primary = acl.stream(), c_void_p(), c_void_p()
        context, physical, tasks = c_void_p(), c_void_p(), (c_void_p * 1)()
        acl.begin(captured)
        # Without software queues there are no conditions, and so no handle that could be live.
        acl.aclmdlRICondHandleCreate(acl.info(captured)[1], 0, 0, byref(condition))
        acl.begin_group(captured)
        assert acl.kernel(captured) == 0
        group, graph = acl.end_group(captured), acl.end(captured)
        acl.ok("aclmdlRIGetStreams", graph, tasks, byref(c_uint32(1)))
        acl.ok("aclmdlRIGetTasksByStream", c_void_p(tasks[0]), tasks, byref(c_uint32(1)))
        acl.ok("aclrtGetCurrentContext", byref(primary))
        acl.ok("aclrtCreateContext", byref(context), 0)
        acl.ok("aclrtSetCurrentContext", primary)
        acl.ok("aclrtMallocPhysical", byref(physical), 2 << 20, (c_uint32 * 8)(0, 0, 1, 0, 1), 0)
        notify, binary, function = c_void_p(), c_void_p(), c_void_p()
        elf = device_elf(DeviceKernel("kernel_0"))
        acl.ok("aclrtCreateNotify", byref(notify), c_uint64(0))
        acl.ok("aclrtBinaryLoadFromData", elf, c_size_t(len(elf)), None, byref(binary))
        acl.ok("aclrtBinaryGetFunctionByEntry", binary, c_uint64(0), byref(function))
        self.of = {
            "stream": acl.stream(),
            "event": acl.event(),
            "graph": graph,
            "task": c_void_p(tasks[0]),
            "condition": condition if condition.value else c_void_p(0x7770),
            "group": group,
            "context": context,
            "physical": physical,
            "notify": notify,
            "binary": binary,
            "function handle": function,
        }

    def destroy(self, acl: Acl) -> None:
        acl.ok("aclmdlRIDestroy", self.of["graph"])  # and its tasks, groups and conditions
        acl.ok("aclrtDestroyStream", self.of["stream"])
        acl.ok("aclrtDestroyEvent", self.of["event"])
        acl.ok("aclrtDestroyContext", self.of["context"])
        acl.ok("aclrtFreePhysical", self.of["physical"])
        acl.ok("aclrtDestroyNotify", self.of["notify"])
        acl.ok("aclrtBinaryUnLoad", self.of["binary"])  # and its functions


def argument(kind: str, live: Objects, handle: c_void_p | None, room: Any, number: int) -> Any:
    """``handle``, or when there is none an argument that is in order."""
    if kind == "parameters":
        graphs = ctypes.cast(room, ctypes.POINTER(c_void_p))
        return CondTaskParams(handle or live.of["condition"], 0, 1, graphs)
    if kind in live.of:
        return handle or live.of[kind]
    if kind == "function":
        return CALLBACK
    return room if kind == "pointer" else number


def test_the_functions_are_found() -> None:
    assert {"aclmdlRICaptureBegin", "aclrtRecordEvent", "aclmdlRIAddCondTask"} <= {
        *functions_with_handles()
    }
    assert len(CASES) > 80


@pytest.mark.parametrize(("name", "position"), CASES)
@pytest.mark.parametrize("wrong", ["stale", "foreign", "invented"])
def test_a_wrong_handle_is_107017(acl: Acl, name: str, position: int, wrong: str) -> None:
    stale, kinds = Objects(acl), functions_with_handles()[name]
    stale.destroy(acl)
    live, kind = Objects(acl), kinds[position].replace("parameters", "condition")
    handle = {
        "stale": stale.of[kind],
        "foreign": live.of["event" if kind == "stream" else "stream"],
        "invented": c_void_p(0xDEAD_BEEF_0010),
    }[wrong]
    device, number = acl.buffer(4096), 0 if name in FLAGS_ARE_ZERO else 1
    acl.message()
    values = [
        argument(of, live, handle if at == position else None, device, number)
        for at, of in enumerate(kinds)
    ]
    assert getattr(acl, name)(*values) == 107017
    assert "(ACL_ERROR_RT_INVALID_HANDLE, 107017)" in acl.message()
