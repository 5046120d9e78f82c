# SPDX-License-Identifier: Apache-2.0
import pytest

from ascend_core import Device, Feature
from ascend_core._chip import lacks


@pytest.mark.parametrize("feature", Feature)
@pytest.mark.parametrize("soc", ["Ascend310P1", "Ascend310P3", "Ascend310P7"])
def test_a_310p_lacks_what_the_other_chips_have(soc, feature):
    assert lacks(soc, feature)


@pytest.mark.parametrize("feature", Feature)
@pytest.mark.parametrize("soc", ["Ascend910B3", "Ascend910_9391", "Ascend950PR_9599"])
def test_a2_a3_and_950_lack_nothing(soc, feature):
    assert not lacks(soc, feature)


def test_a_chip_that_is_not_known_lacks_nothing():
    assert not lacks("Ascend1010", Feature.VALUE_WAIT)


@pytest.mark.sim
def test_a_device_tells_by_its_own_name(runtime):
    device = Device(0)
    for feature in Feature:
        assert device.supports(feature) is not lacks(device.name, feature)
