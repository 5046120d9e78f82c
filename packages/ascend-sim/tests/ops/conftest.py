# SPDX-License-Identifier: Apache-2.0
"""The operators of the simulator through torch_npu, with torch on the CPU as the oracle."""

import ascend_sim

ascend_sim.activate()  # before torch is imported

import pytest  # noqa: E402
import torch  # noqa: E402
from _record import Recorder  # noqa: E402

RECORDER = pytest.StashKey[Recorder]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-operators", action="store_true", help="write the operators' table")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--record-operators", default=False):
        config.stash[RECORDER] = Recorder()
    # torch_npu says so once per process, whenever an operator of its own asks for a private format.
    config.addinivalue_line(
        "filterwarnings", "ignore:Cannot create tensor with internal format:UserWarning"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    recorder = item.config.stash.get(RECORDER, None)
    if recorder is not None:
        recorder.take()  # what fixtures did is not of this test
    result = yield
    if recorder is not None:
        torch.npu.synchronize()
        recorder.passed(item.nodeid.rpartition("/")[2])
    return result


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if RECORDER in config.stash:  # the record is not yet what is to be checked
        items[:] = [item for item in items if item.path.name != "test_record.py"]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    recorder = session.config.stash.get(RECORDER, None)
    if recorder is not None and exitstatus == 0:
        recorder.write()


@pytest.fixture(autouse=True)
def _stop_at_the_first_device_error(request: pytest.FixtureRequest):
    """A failed task leaves the device in error, as on an NPU: later tests could only fail."""
    yield
    try:
        torch.npu.synchronize()
    except RuntimeError as error:
        request.session.shouldfail = f"{request.node.name} left the device in error: {error}"
