# SPDX-License-Identifier: Apache-2.0
"""A process has the devices that ASCEND_RT_VISIBLE_DEVICES names, or an error says why not."""

from collections.abc import Callable

import pytest

from ascend_core import VisibleDevicesError
from ascend_core._visible_devices import check_visible_devices, parse_visible_devices

MALFORMED = [
    ("", "hides every device"),
    (" ", "hides every device"),
    ("0,a", "stops reading at 'a', so 'a' is lost"),
    ("0, 1", "stops reading at ' ', so '1' is lost"),
    (" 0,1", "stops reading at ' ', so '0,1' is lost"),
    ("0;1", "stops reading at ';', so ';1' is lost"),
    ("-1", "stops reading at '-', so '-1' is lost"),
    ("0-3", "stops reading at '-', so '-3' is lost"),
    ("0,,1", "missing between two commas"),
    (",0", "missing between two commas"),
    (",", "missing between two commas"),
    ("1,0", "Set it to 0,1."),
    ("0,0", "Set it to 0."),
    ("2,1,2", "Set it to 1,2."),
]


@pytest.mark.parametrize(
    ("value", "devices"),
    [("0", (0,)), ("0,2,13", (0, 2, 13)), ("0,1,", (0, 1)), ("0,1 ", (0, 1)), ("07", (7,))],
)
def test_ascending_numbers_are_devices(value: str, devices: tuple[int, ...]) -> None:
    assert parse_visible_devices(value) == devices


@pytest.mark.parametrize(("value", "words"), MALFORMED)
def test_what_cann_reads_as_another_list_is_refused(value: str, words: str) -> None:
    with pytest.raises(VisibleDevicesError, match="ASCEND_RT_VISIBLE_DEVICES") as caught:
        parse_visible_devices(value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("value", "count", "missing"), [("0,1,5", 2, "no device 5"), ("1,9,12", 1, "no device 9")]
)
def test_a_device_that_is_not_there_is_named(value: str, count: int, missing: str) -> None:
    with pytest.raises(VisibleDevicesError, match=missing):
        check_visible_devices(count, {"ASCEND_RT_VISIBLE_DEVICES": value})


def test_a_list_that_holds_and_no_list_are_right() -> None:
    check_visible_devices(2, {"ASCEND_RT_VISIBLE_DEVICES": "0,5"})
    check_visible_devices(0, {})


@pytest.mark.sim
@pytest.mark.parametrize(
    ("value", "problem"),
    [("0,1", None), ("0,1,5", "no device 5"), ("1,0", "Set it to 0,1"), ("0, 1", "' '")],
)
def test_the_doctor_says_what_is_wrong_with_the_list(
    run_simulated: Callable[..., str], value: str, problem: str | None
) -> None:
    code = "from ascend_core._doctor import examine; print(*examine()[1], sep='\\n')"
    problems = run_simulated(code, "--devices", "4", ASCEND_RT_VISIBLE_DEVICES=value).splitlines()
    found = [text for text in problems if "VISIBLE_DEVICES" in text]
    assert len(found) == (problem is not None)
    assert all(str(problem) in text for text in found)
