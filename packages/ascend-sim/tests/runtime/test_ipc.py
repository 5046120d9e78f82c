# SPDX-License-Identifier: Apache-2.0
"""Device memory and events of one process in another."""

from collections.abc import Callable
from pathlib import Path

import pytest
from machine import Process, Run

# Helpers that every process gets: keys go from one to the other as text.
PRELUDE = """
import ctypes, time
from ctypes import create_string_buffer, c_uint64, c_size_t, c_char_p, c_int32
ANYONE, FROM_PEERS, IPC = 1, 1, 0x40
acl.aclrtIpcMemGetExportKey.argtypes = [c_void_p, c_size_t, c_char_p, c_size_t, c_uint64]
acl.aclrtIpcMemImportByKey.argtypes = [c_void_p, c_char_p, c_uint64]
class Handle(ctypes.Structure): _fields_ = [("reserved", ctypes.c_char * 64)]
acl.aclrtIpcOpenEventHandle.argtypes = [Handle, c_void_p]
def export(address, size, flags=ANYONE):
    key = create_string_buffer(65)
    acl.ok("aclrtIpcMemGetExportKey", address, size, key, 65, flags)
    return key.value.decode()
def opened(key, flags=FROM_PEERS):
    address = c_void_p()
    acl.ok("aclrtIpcMemImportByKey", byref(address), key.encode(), flags)
    return address
def refusal(key, flags=FROM_PEERS):
    code = acl.aclrtIpcMemImportByKey(byref(c_void_p()), key.encode(), flags)
    return f"{code} {acl.message()}"
def shared_event():
    event, handle = acl.event(IPC), Handle()
    acl.ok("aclrtIpcGetEventHandle", event, byref(handle))
    return event, handle.reserved.decode()
def open_event(text):
    event = c_void_p()
    acl.ok("aclrtIpcOpenEventHandle", Handle(text.encode()), byref(event))
    return event
"""


@pytest.fixture
def pair(begin: Callable[..., Run]) -> tuple[Process, Process]:
    """Two processes of one run."""
    run = begin()
    processes = run.start(), run.start()
    for process in processes:
        process.do(f"exec({PRELUDE!r}, globals())")
    return processes


def share(process: Process, what: str) -> str:
    return process.do(f"print({what})").strip()


# --- memory ---


def test_what_one_process_writes_the_other_reads(pair: tuple[Process, Process]) -> None:
    maker, user = pair
    # The second of two small blocks: not at the start of a page.
    maker.do("first, block = acl.buffer(512, fill=1), acl.buffer(512, fill=7)")
    key = share(maker, "export(block, 512)")
    assert len(key) < 65
    user.do(f"block = opened({key!r})")
    assert share(user, "acl.byte(block)") == "7"
    user.do("acl.ok('aclrtMemset', block, 512, 9, 512)")
    assert share(maker, "acl.byte(block), acl.byte(first)") == "9 1"


def test_imported_memory_is_device_memory_that_its_maker_accounts_for(
    begin: Callable[..., Run], pair: tuple[Process, Process]
) -> None:
    maker, user = pair
    maker.do("block = acl.buffer(1 << 20)")
    key = share(maker, "export(block, 1 << 20)")
    before = share(user, "acl.memory()[0]")
    user.do(f"block, stream = opened({key!r}), acl.stream()")
    assert share(user, "acl.memory()[0]") == before
    user.do("acl.ok('aclrtMemsetAsync', block, 1 << 20, 3, 1 << 20, stream)")
    user.do("acl.ok('aclrtSynchronizeStream', stream)")
    assert share(maker, "acl.byte(block)") == "3"
    assert share(user, "acl.aclrtFree(block)") == "107000"  # it is not the user's to free


def test_an_import_lasts_until_it_is_closed_as_often_as_it_was_made(
    pair: tuple[Process, Process],
) -> None:
    maker, user = pair
    maker.do("block = acl.buffer(64, fill=5)")
    key = share(maker, "export(block, 64)")
    user.do(f"key = {key!r}.encode(); one, two = opened(key.decode()), opened(key.decode())")
    assert share(user, "one.value == two.value") == "True"
    user.do("acl.ok('aclrtIpcMemClose', key)")
    assert share(user, "acl.byte(two)") == "5"
    user.do("acl.ok('aclrtIpcMemClose', key)")
    assert share(user, "acl.aclrtMemset(two, 64, 0, 64)") == "107000"
    assert share(user, "acl.aclrtIpcMemClose(key)") == "107000"


@pytest.mark.parametrize("ended", ["acl.ok('aclrtIpcMemClose', key)", "acl.ok('aclrtFree', block)"])
def test_a_key_opens_nothing_once_it_is_closed_or_its_memory_freed(
    pair: tuple[Process, Process], ended: str
) -> None:
    maker, user = pair
    maker.do("block = acl.buffer(64); key = export(block, 64).encode()")
    key = share(maker, "key.decode()")
    maker.do(ended)
    assert share(user, f"refusal({key!r})").startswith("107000")
    assert "closed" in share(user, f"refusal({key!r})")


def test_a_key_is_for_the_processes_it_was_made_for(pair: tuple[Process, Process]) -> None:
    maker, user = pair
    maker.do("block = acl.buffer(64, fill=5); key = export(block, 64, 0).encode()")
    key = share(maker, "key.decode()")
    assert "has not allowed this one" in share(user, f"refusal({key!r})")
    pid = user.process.pid
    maker.do(f"acl.ok('aclrtIpcMemSetImportPid', key, byref(c_int32({pid})), c_size_t(1))")
    user.do(f"assert acl.byte(opened({key!r})) == 5")


def test_memory_of_another_device_needs_the_flag_for_peers(pair: tuple[Process, Process]) -> None:
    maker, user = pair
    maker.do("acl.ok('aclrtSetDevice', 1); block = acl.buffer(64, fill=5)")
    key = share(maker, "export(block, 64)")
    assert "is on device 1" in share(user, f"refusal({key!r}, 0)")
    user.do(f"assert acl.byte(opened({key!r})) == 5")


@pytest.mark.parametrize("key", ["", "nonsense", "ascend-sim-ipc-zz", "ascend-sim-ipc-1 "])
def test_what_is_no_key_is_refused(pair: tuple[Process, Process], key: str) -> None:
    assert "is none that this simulator made" in share(pair[0], f"refusal({key!r})")


def test_the_key_of_a_killed_process_names_it_and_nothing_is_left_of_its_memory(
    pair: tuple[Process, Process],
) -> None:
    maker, user = pair
    before = sorted(Path("/dev/shm").iterdir())
    maker.do("block, other = acl.buffer(64, fill=5), acl.buffer(64)")
    held, key = share(maker, "export(block, 64)"), share(maker, "export(other, 64)")
    user.do(f"block = opened({held!r})")
    maker.kill()
    refusal = share(user, f"refusal({key!r})")
    assert f"process {maker.process.pid}, which made the key, has ended" in refusal
    user.do("assert acl.byte(block) == 5")  # until the last one has closed it
    assert sorted(Path("/dev/shm").iterdir()) == before


def test_a_fork_does_not_change_its_parents_memory(pair: tuple[Process, Process]) -> None:
    maker, _ = pair
    maker.do("block = acl.buffer(64, fill=5)")
    maker.do(
        "child = os.fork(); child or (acl.ok('aclrtMemset', block, 64, 0, 64), os._exit(0));"
        "assert os.waitpid(child, 0)[1] == 0; assert acl.byte(block) == 5"
    )


# --- physical memory ---

PHYSICAL = """
class Prop(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint32 * 5), ("gap", ctypes.c_uint32), ("reserve", c_uint64)]
HBM_HUGE, ON_DEVICE, SIZE = 4, 1, 2 << 20
acl.aclrtMemExportToShareableHandle.argtypes = [c_void_p, ctypes.c_int, c_uint64, c_void_p]
acl.aclrtMemImportFromShareableHandle.argtypes = [c_uint64, c_int32, c_void_p]
acl.aclrtMemSetPidToShareableHandle.argtypes = [c_uint64, c_void_p, c_size_t]
def physical():
    handle = c_void_p()
    prop = Prop((ctypes.c_uint32 * 5)(0, 0, HBM_HUGE, 0, ON_DEVICE))
    acl.ok("aclrtMallocPhysical", byref(handle), SIZE, byref(prop), 0)
    return handle
def mapped(handle):
    address = c_void_p()
    acl.ok("aclrtReserveMemAddress", byref(address), SIZE, 0, None, 1)
    acl.ok("aclrtMapMem", address, SIZE, 0, handle, 0)
    return address
def shareable(handle, flags=ANYONE):
    number = c_uint64()
    acl.ok("aclrtMemExportToShareableHandle", handle, 0, flags, byref(number))
    return number.value
def imported(number):
    handle = c_void_p()
    acl.ok("aclrtMemImportFromShareableHandle", number, 0, byref(handle))
    return handle
"""


def test_physical_memory_is_shared_by_a_handle(pair: tuple[Process, Process]) -> None:
    maker, user = pair
    for process in pair:
        process.do(f"exec({PHYSICAL!r}, globals())")
    maker.do("handle = physical(); block = mapped(handle)")
    maker.do("acl.ok('aclrtMemset', block, SIZE, 8, SIZE)")
    number = share(maker, "shareable(handle)")
    assert share(maker, "shareable(handle)") == number
    user.do(f"handle = imported({number}); block = mapped(handle)")
    assert share(user, "acl.byte(block)") == "8"
    user.do("acl.ok('aclrtMemset', block, SIZE, 9, SIZE)")
    assert share(maker, "acl.byte(block)") == "9"
    maker.do("acl.ok('aclrtUnmapMem', block); acl.ok('aclrtFreePhysical', handle)")
    refused = f"acl.aclrtMemImportFromShareableHandle({number}, 0, byref(c_void_p()))"
    assert share(user, refused) == "107000"
    assert share(user, "acl.byte(block)") == "9"


def test_a_shareable_handle_is_for_the_processes_it_was_made_for(
    pair: tuple[Process, Process],
) -> None:
    maker, user = pair
    for process in pair:
        process.do(f"exec({PHYSICAL!r}, globals())")
    number = share(maker, "shareable(physical(), 0)")
    maker.do("handle = physical(); number = shareable(handle, 0)")
    number = share(maker, "number")
    refused = f"acl.aclrtMemImportFromShareableHandle({number}, 0, byref(c_void_p()))"
    assert share(user, refused) == "107000"
    pid = user.process.pid
    maker.do(f"acl.ok('aclrtMemSetPidToShareableHandle', number, byref(c_int32({pid})), 1)")
    user.do(f"imported({number})")


# --- events ---


def test_a_stream_waits_for_an_event_of_another_process(pair: tuple[Process, Process]) -> None:
    maker, user = pair
    maker.do("block, stream = acl.buffer(8), acl.stream(); event, text = shared_event()")
    key, text = share(maker, "export(block, 8)"), share(maker, "text")
    user.do(f"block, event, stream, seen = opened({key!r}), open_event({text!r}), acl.stream(), []")
    maker.do("gate = acl.block(stream); acl.ok('aclrtMemsetAsync', block, 8, 6, 8, stream)")
    maker.do("acl.ok('aclrtRecordEvent', event, stream)")
    user.do("acl.ok('aclrtStreamWaitEvent', stream, event)")
    user.do("acl.ok('aclrtMemcpyAsync', acl.buffer(8), 8, block, 8, 3, stream)")
    assert share(user, "acl.aclrtSynchronizeStreamWithTimeout(stream, 50)") == "507046"
    status = "(s := c_int32(), acl.ok('aclrtQueryEventStatus', event, byref(s)))[0].value"
    assert share(user, status) == "0"
    maker.do("gate.open()")
    user.do("acl.ok('aclrtSynchronizeStream', stream); assert acl.byte(block) == 6")
    assert share(user, status) == "1"


def test_a_wait_binds_to_the_record_that_was_the_latest(pair: tuple[Process, Process]) -> None:
    maker, user = pair
    maker.do("stream = acl.stream(); event, text = shared_event()")
    user.do(f"event, stream = open_event({share(maker, 'text')!r}), acl.stream()")
    maker.do("acl.ok('aclrtRecordEvent', event, stream)")
    maker.do("acl.ok('aclrtSynchronizeEvent', event)")
    user.do("acl.ok('aclrtStreamWaitEvent', stream, event)")
    maker.do("gate = acl.block(stream); acl.ok('aclrtRecordEvent', event, stream)")
    user.do("acl.ok('aclrtSynchronizeStream', stream)")  # the first record was enough
    assert share(user, "acl.aclrtSynchronizeEventWithTimeout(event, 50)") == "507047"
    maker.do("gate.open()")
    user.do("acl.ok('aclrtSynchronizeEvent', event)")


def test_either_process_may_record_and_an_event_outlives_its_maker(
    pair: tuple[Process, Process],
) -> None:
    maker, user = pair
    maker.do("event, text = shared_event()")
    user.do(f"event, stream = open_event({share(maker, 'text')!r}), acl.stream()")
    user.do("acl.ok('aclrtRecordEvent', event, stream); acl.ok('aclrtSynchronizeEvent', event)")
    maker.do("acl.ok('aclrtSynchronizeEvent', event)")
    maker.kill()
    user.do("acl.ok('aclrtRecordEvent', event, stream); acl.ok('aclrtSynchronizeEvent', event)")


def test_waiting_for_a_process_that_was_killed_ends_with_its_name(
    pair: tuple[Process, Process],
) -> None:
    maker, user = pair
    maker.do("stream = acl.stream(); event, text = shared_event(); gate = acl.block(stream)")
    user.do(f"event, stream = open_event({share(maker, 'text')!r}), acl.stream()")
    maker.do("acl.ok('aclrtRecordEvent', event, stream)")
    user.do("acl.ok('aclrtStreamWaitEvent', stream, event)")
    maker.kill()
    assert share(user, "acl.aclrtSynchronizeStream(stream)") == "507000"
    assert f"process {maker.process.pid}, which recorded" in share(user, "acl.message()")


def test_what_an_ipc_event_is_not_for(pair: tuple[Process, Process]) -> None:
    maker, user = pair
    maker.do("event, text = shared_event(); stream = acl.stream()")
    maker.do("acl.ok('aclrtRecordEvent', event, stream); acl.ok('aclrtSynchronizeEvent', event)")
    time = "acl.aclrtEventGetTimestamp(event, byref(c_uint64()))"
    assert share(maker, time) == "207000"
    maker.do("acl.begin(stream)")
    assert share(maker, "acl.aclrtRecordEvent(event, stream)") == "207000"
    assert share(maker, "acl.aclrtStreamWaitEvent(stream, event)") == "207000"
    assert share(maker, "acl.aclrtIpcGetEventHandle(acl.event(), byref(Handle()))") == "207000"
    text = share(maker, "text")
    maker.do("acl.ok('aclrtDestroyEvent', event)")
    opening = f"acl.aclrtIpcOpenEventHandle(Handle({text.encode()!r}), byref(c_void_p()))"
    assert share(user, opening) == "107000"
    assert "was destroyed" in share(user, "acl.message()")


def test_events_are_made_by_the_thousand(pair: tuple[Process, Process]) -> None:
    """Sending tensors makes one for each: their places are used again, and no file is opened."""
    maker, user = pair
    files = "len(os.listdir('/proc/self/fd'))"
    maker.do("event, text = shared_event()")
    before = share(maker, files)
    loop = "acl.ok('aclrtDestroyEvent', shared_event()[0])"
    maker.do(f"for _ in range(70_000): {loop}")
    assert share(maker, files) == before
    assert Path(f"/proc/{maker.process.pid}/fd").exists()
    user.do(f"open_event({share(maker, 'text')!r})")
