# SPDX-License-Identifier: Apache-2.0
"""Value write and value wait."""

import ctypes
from ctypes import c_uint64

import pytest
from acl_abi import Acl
from rules import rule


@rule("section 1.10", "api_impl.cc: signed >=; ==; and != 0; ~(a | v) != 0")
@pytest.mark.parametrize(
    ("flag", "wanted", "blocking", "releasing"),
    [
        pytest.param(0, 5, 4, 6, id="greater"),
        pytest.param(0, 5, 4, 5, id="or-equal"),
        pytest.param(0, 5, (1 << 64) - 1, 6, id="signed"),
        pytest.param(1, 5, 6, 5, id="equal"),
        pytest.param(2, 0b100, 0b011, 0b110, id="and"),
        pytest.param(3, (1 << 64) - 2, 1, 2, id="nor"),
    ],
)
def test_a_value_wait_blocks_until_its_condition_holds(
    acl: Acl, flag: int, wanted: int, blocking: int, releasing: int
) -> None:
    waiter, writer, word = acl.stream(), acl.stream(), acl.buffer()
    acl.ok("aclrtValueWrite", word, blocking, 0, writer)
    acl.sync(writer)
    acl.ok("aclrtValueWait", word, wanted, flag, waiter)
    assert acl.aclrtSynchronizeStreamWithTimeout(waiter, 30) == 507046
    acl.ok("aclrtValueWrite", word, releasing, 0, writer)
    acl.ok("aclrtSynchronizeStreamWithTimeout", waiter, 10000)


@rule("section 1.10", "A value wait looks at memory, whoever wrote it")
def test_a_value_wait_also_sees_what_a_copy_or_fill_wrote(acl: Acl) -> None:
    waiter, writer, word = acl.stream(), acl.stream(), acl.buffer()
    acl.ok("aclrtValueWait", word, 0x0101010101010101, 1, waiter)
    acl.fill(writer, word, 1)
    acl.ok("aclrtSynchronizeStreamWithTimeout", waiter, 10000)


@rule("section 1.10", "api_error.cc")
def test_value_calls_check_their_arguments(acl: Acl) -> None:
    stream, word = acl.stream(), acl.buffer()
    host = c_uint64()
    assert acl.aclrtValueWrite(word, 1, 1, stream) == 107000
    assert acl.aclrtValueWait(word, 1, 4, stream) == 107000
    assert acl.aclrtValueWait(ctypes.addressof(host), 1, 1, stream) == 107000
    assert acl.aclrtValueWrite(None, 1, 0, stream) in (100000, 107000)
