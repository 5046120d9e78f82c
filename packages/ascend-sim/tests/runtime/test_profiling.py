# SPDX-License-Identifier: Apache-2.0
"""The profiling session of a process: opened, started, stopped and closed in that order."""

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_uint32, c_uint64, c_void_p

import pytest
from acl_abi import Acl

INVALID_PARAM, REPEATED, RUNNING, NOT_RUNNING, INVALID_DEVICE = (
    100000,
    100002,
    100042,
    100043,
    107001,
)


@pytest.fixture
def session(acl: Acl) -> Iterator[Acl]:
    """A session that is open and not started."""
    acl.aclprofCreateConfig.restype = c_void_p
    acl.ok("aclprofInit", b"/tmp", ctypes.c_size_t(4))
    yield acl
    acl.ok("aclprofFinalize")


def config(acl: Acl, device: int = 0) -> c_void_p:
    made = acl.aclprofCreateConfig(byref(c_uint32(device)), c_uint32(1), 0, None, c_uint64(1))
    return c_void_p(made)


def test_a_session_is_started_and_stopped_with_its_configuration(session: Acl) -> None:
    mine = config(session)
    session.ok("aclprofStart", mine)
    session.ok("aclprofStop", mine)
    session.ok("aclprofDestroyConfig", mine)


def test_a_second_session_is_refused(session: Acl) -> None:
    assert session.aclprofInit(b"/tmp", ctypes.c_size_t(4)) == REPEATED


def test_what_runs_is_not_started_again_and_only_its_owner_stops_it(session: Acl) -> None:
    mine, other = config(session), config(session)
    session.ok("aclprofStart", mine)
    assert session.aclprofStart(other) == RUNNING
    assert session.aclprofStop(other) == NOT_RUNNING
    session.ok("aclprofStop", mine)
    assert session.aclprofStop(mine) == NOT_RUNNING


def test_nothing_starts_or_ends_without_a_session(acl: Acl) -> None:
    acl.aclprofCreateConfig.restype = c_void_p
    assert acl.aclprofStart(config(acl)) == NOT_RUNNING
    assert acl.aclprofFinalize() == NOT_RUNNING
    assert acl.aclprofInit(b"", ctypes.c_size_t(0)) == INVALID_PARAM


def test_a_device_that_is_not_there_has_no_configuration(session: Acl) -> None:
    assert config(session, device=99).value is None
    assert "99" in session.message()
