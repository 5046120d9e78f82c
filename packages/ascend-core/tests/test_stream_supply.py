# SPDX-License-Identifier: Apache-2.0
"""How many streams may be taken: what the device has left, or what a partition's share leaves."""

import json

import pytest

TAKE_AND_ASK = """
import ctypes, json
from ascend_core import Device, StreamSupply, acl
device = Device(0)
with device.active():
    supply = StreamSupply(device)
    for _ in range(TAKEN):
        acl.call("aclrtCreateStream", ctypes.byref(ctypes.c_void_p()))
    budget = supply.budget(RESERVE)
    print(json.dumps([budget.streams, budget.is_quota, str(budget)]))
"""


@pytest.fixture
def budget(run_simulated):
    """What is left after some streams were taken, on a simulated machine."""

    def ask(*options: str, taken: int = 0, reserve: int | None = 0):
        code = TAKE_AND_ASK.replace("TAKEN", str(taken)).replace("RESERVE", str(reserve))
        return json.loads(run_simulated(code, *options))

    return ask


def test_of_a_whole_device_there_is_what_it_has_left(budget):
    streams, is_quota, text = budget("--streams", "512", taken=12)
    assert (streams, is_quota) == (500, False)
    assert text == "500 streams: 500 available, less a reserve of 0"


def test_streams_beyond_what_the_chip_has_do_not_count(budget):
    assert budget("--streams", "4000")[0] == 1984
    assert budget("--soc", "Ascend310P3", "--streams", "4000")[0] == 1024


def test_of_a_partition_there_is_its_share_less_the_own_use(budget):
    streams, is_quota, text = budget("--partition", "aicore=10", taken=30)
    assert (streams, is_quota) == (198 - 30, True)
    assert "share of 198 of 1984, less 30 in use" in text


def test_streams_of_other_tenants_are_not_own_use(budget):
    streams, *_ = budget("--partition", "aicore=10", "--tenant", "streams=1000", taken=30)
    assert streams == 198 - 30


def test_a_share_that_others_have_taken_is_not_left(budget):
    streams, is_quota, _ = budget("--partition", "aicore=50", "--tenant", "streams=1900", taken=4)
    assert (streams, is_quota) == (80, True)


def test_more_than_the_share_in_use_leaves_none(budget):
    assert budget("--partition", "aicore=1", taken=30)[0] == 0


@pytest.mark.parametrize(("available", "reserve"), [(1984, 40), (200, 40), (60, 15), (3, 0)])
def test_the_reserve_is_a_communicator_or_a_quarter(budget, available, reserve):
    streams, _, text = budget("--streams", str(available), reserve=None)
    assert streams == available - reserve
    assert text.endswith(f"less a reserve of {reserve}")


def test_a_reserve_of_more_than_is_left_leaves_none(budget):
    assert budget("--streams", "100", reserve=200)[0] == 0


def test_a_malformed_partition_is_an_error_that_names_the_file(run_simulated, tmp_path):
    path = tmp_path / "etc/enpu/vcann-rt/npu_info.config"
    path.parent.mkdir(parents=True)
    path.write_text("aicore-quota=101\n")
    code = """
from ascend_core import Device, PartitionError, StreamSupply
try:
    StreamSupply(Device(0))
except PartitionError as error:
    print(error)
"""
    shown = run_simulated(code, ASCEND_PARTITION_ROOT=str(tmp_path))
    assert str(path) in shown
