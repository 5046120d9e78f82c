# SPDX-License-Identifier: Apache-2.0
"""The option --record-operators, for the conftest of suites that compare operators' results."""

import hypothesis
import pytest
import torch
from operators_page import TESTS

from support.record import Recorder

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_runtest_call",
    "pytest_sessionfinish",
    "pytest_sessionstart",
]

RECORDER = pytest.StashKey[Recorder]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-operators", action="store_true", help="write the operators' table")


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("--record-operators"):
        # The same examples each time, so that the record changes with the tests alone.
        hypothesis.settings.register_profile("record", derandomize=True)
        hypothesis.settings.load_profile("record")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--record-operators") and items:
        config.stash[RECORDER] = Recorder(items[0].path.relative_to(TESTS).parts[0])
        # The record is not yet what is to be checked.
        items[:] = [item for item in items if item.path.name != "test_record.py"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    recorder = item.config.stash.get(RECORDER, None)
    if recorder is not None:
        recorder.take()  # what fixtures did is not of this test
    result = yield
    if recorder is not None:
        torch.npu.synchronize()
        _, _, name = item.nodeid.partition("::")
        recorder.passed(f"{item.path.relative_to(TESTS)}::{name}")
    return result


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    recorder = session.config.stash.get(RECORDER, None)
    if recorder is not None and exitstatus == 0:
        recorder.write()
