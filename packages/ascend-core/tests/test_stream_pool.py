# SPDX-License-Identifier: Apache-2.0
import ctypes
import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ascend_core import StreamBudgetExceeded, StreamPool, acl, errors

pytestmark = pytest.mark.sim


@contextmanager
def streams(count):
    """Create streams, as a user of the device does."""
    handles = [ctypes.c_void_p() for _ in range(count)]
    for handle in handles:
        acl.call("aclrtCreateStream", ctypes.byref(handle))
    try:
        yield
    finally:
        for handle in handles:
            acl.call("aclrtDestroyStream", handle)


@pytest.fixture
def pool(device):
    return StreamPool(device, headroom=0)


def test_streams_that_exist_are_no_longer_available(device, pool):
    before = pool.available

    with streams(3):
        assert pool.available == before - 3

    assert pool.available == before


def test_a_reservation_counts_until_it_is_released(pool):
    before = pool.available

    with pool.reserve(5) as lease:
        assert lease.count == 5
        assert pool.available == before - 5
        assert pool.leased == 5

    assert pool.available == before
    assert pool.leased == 0


def test_a_reservation_is_released_when_the_work_fails(pool):
    before = pool.available

    with pytest.raises(RuntimeError, match="capture failed"), pool.reserve(5):
        raise RuntimeError("capture failed")

    assert pool.available == before


def test_releasing_twice_gives_back_once(pool):
    first, second = pool.reserve(2), pool.reserve(3)

    first.release()
    first.release()

    assert pool.leased == 3
    second.release()


def test_all_that_is_available_can_be_reserved_and_not_one_more(pool):
    everything = pool.available

    with pool.reserve(everything), pytest.raises(StreamBudgetExceeded) as caught:
        pool.reserve(1)

    assert caught.value.needed == 1
    assert caught.value.available == 0
    assert caught.value.leased == everything


def test_too_many_is_an_error_that_says_how_many_and_what_to_reduce(pool):
    needed = pool.available + 7

    with pytest.raises(errors.AclOutOfStreams) as caught:
        pool.reserve(needed)

    message = str(caught.value)
    assert f"{needed} streams are needed, {needed - 7} are available" in message
    assert "capture fewer sizes" in message


def test_headroom_is_kept_back(device):
    free = device.streams_available()

    assert StreamPool(device, headroom=10).available == free - 10


def test_headroom_above_what_is_left_leaves_nothing_rather_than_less(device):
    pool = StreamPool(device, headroom=device.streams_available() + 1)

    assert pool.available == 0


def test_a_limit_caps_what_this_process_may_take(device):
    pool = StreamPool(device, limit=8, headroom=0)

    assert pool.available == 8
    with streams(3):
        assert pool.available == 5


def test_a_limit_above_what_the_device_has_changes_nothing(device):
    free = device.streams_available()

    assert StreamPool(device, limit=free + 100, headroom=0).available == free


def test_threads_never_reserve_more_than_there_is(device):
    pool = StreamPool(device, limit=10, headroom=0)

    def is_reserved(_: int) -> bool:
        try:
            pool.reserve(1)
        except StreamBudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(is_reserved, range(16))) == 10

    assert pool.leased == 10


def test_the_error_travels_between_processes():
    error = StreamBudgetExceeded(9, 5, 2, 1)

    assert str(pickle.loads(pickle.dumps(error))) == str(error)
