# SPDX-License-Identifier: Apache-2.0
"""Notifies: a stream records, another waits and resets."""

from collections.abc import Callable
from ctypes import byref, c_uint32, c_uint64, c_void_p

from acl_abi import Acl
from rules import rule


def make(acl: Acl, flag: int = 0) -> c_void_p:
    notify = c_void_p()
    acl.ok("aclrtCreateNotify", byref(notify), c_uint64(flag))
    return notify


def record(acl: Acl, notify: c_void_p, stream: c_void_p) -> None:
    acl.ok("aclrtRecordNotify", notify, stream)


def wait(acl: Acl, notify: c_void_p, stream: c_void_p, timeout: int = 0) -> None:
    acl.ok("aclrtWaitAndResetNotify", notify, stream, c_uint32(timeout))


def passes(acl: Acl, stream: c_void_p) -> bool:
    """Whether the stream has come to its end, given that nothing but a record is missing."""
    code = acl.aclrtSynchronizeStreamWithTimeout(stream, 30)
    assert code in (0, 507046), acl.message()
    return bool(code == 0)


@rule("section 3", "aclrtWaitAndResetNotify of docs/zh/api_ref")
def test_a_wait_blocks_its_stream_until_the_record(acl: Acl) -> None:
    waiter, recorder, notify = acl.stream(), acl.stream(), make(acl)
    wait(acl, notify, waiter)
    assert not passes(acl, waiter)
    record(acl, notify, recorder)
    acl.sync(waiter)


@rule("section 3", "aclrtWaitAndResetNotify of docs/zh/api_ref")
def test_a_record_waits_for_its_wait(acl: Acl) -> None:
    waiter, recorder, notify = acl.stream(), acl.stream(), make(acl)
    record(acl, notify, recorder)
    acl.sync(recorder)
    wait(acl, notify, waiter)
    acl.sync(waiter)


@rule("section 3", "aclrtWaitAndResetNotify of docs/zh/api_ref")
def test_a_wait_resets_so_that_the_next_one_blocks(acl: Acl) -> None:
    waiter, recorder, notify = acl.stream(), acl.stream(), make(acl)
    record(acl, notify, recorder)
    record(acl, notify, recorder)  # the flag is set already
    acl.sync(recorder)
    wait(acl, notify, waiter)
    wait(acl, notify, waiter)
    assert not passes(acl, waiter)
    record(acl, notify, recorder)
    acl.sync(waiter)


@rule("section 3", "aclrtWaitAndResetNotify of docs/zh/api_ref: the unit is milliseconds")
def test_a_wait_that_takes_too_long_fails_its_stream(acl: Acl) -> None:
    waiter, notify = acl.stream(), make(acl)
    wait(acl, notify, waiter, timeout=20)
    assert acl.aclrtSynchronizeStream(waiter) == 107020
    assert "notify was not recorded within 20 ms" in acl.message()


@rule("section 3", "aclrtDestroyNotify of docs/zh/api_ref")
def test_work_outlives_the_notify_that_it_uses(acl: Acl) -> None:
    waiter, recorder, notify = acl.stream(), acl.stream(), make(acl)
    gate = acl.block(recorder)
    wait(acl, notify, waiter)
    record(acl, notify, recorder)
    acl.ok("aclrtDestroyNotify", notify)
    gate.open()
    acl.sync(waiter)


@rule("section 3", "acl/notify.cpp")
def test_captured_notifies_act_at_every_replay(acl: Acl) -> None:
    # given a graph that waits for a notify, sets a byte, and records another one
    stream, outside, byte = acl.stream(), acl.stream(), acl.buffer()
    before, after = make(acl), make(acl)
    acl.begin(stream)
    wait(acl, before, stream)
    acl.fill(stream, byte, 7)
    record(acl, after, stream)
    graph = acl.end(stream)
    for _ in range(3):
        acl.fill(outside, byte, 0)
        acl.sync(outside)
        # when
        acl.execute(graph, stream)
        assert not passes(acl, stream)
        record(acl, before, outside)
        wait(acl, after, outside)
        acl.sync(outside)
        # then
        assert acl.byte(byte) == 7


@rule("section 3", "acl/notify.cpp")
def test_lanes_of_a_graph_order_each_other_by_notifies(acl: Acl) -> None:
    one, two, byte, notify = acl.stream(), acl.stream(), acl.buffer(), make(acl)
    acl.begin(one)
    acl.fork(one, two)
    wait(acl, notify, two)
    acl.fill(two, byte, 2)
    acl.fill(one, byte, 1)
    record(acl, notify, one)
    acl.join(two, one)
    graph = acl.end(one)
    for _ in range(5):
        acl.execute(graph, one)
        acl.sync(one)
        assert acl.byte(byte) == 2


@rule("section 3", "acl/notify.cpp")
def test_notify_calls_check_their_arguments(acl: Acl) -> None:
    notify, made = c_void_p(), make(acl, flag=1)
    assert acl.aclrtCreateNotify(None, c_uint64(0)) == 100000
    assert acl.aclrtCreateNotify(byref(notify), c_uint64(2)) == 107000
    assert acl.aclrtRecordNotify(None, acl.stream()) == 100000
    acl.ok("aclrtDestroyNotify", made)
    assert acl.aclrtWaitAndResetNotify(made, acl.stream(), 0) == 107017


@rule("section 2", "src/runtime/config/*/dev_info_reg.cc")
def test_notifies_run_out_and_come_back(process: Callable[..., str]) -> None:
    out = process(
        """
        from ctypes import byref, c_uint64, c_void_p
        made, notify = [], c_void_p()
        while (code := acl.aclrtCreateNotify(byref(notify), c_uint64(0))) == 0:
            made.append(c_void_p(notify.value))
        print(code, len(made) > 8000)
        acl.ok("aclrtDestroyNotify", made.pop())
        acl.ok("aclrtCreateNotify", byref(notify), c_uint64(0))
        """
    )
    assert out == "207009 True\n"
