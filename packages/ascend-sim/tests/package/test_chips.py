# SPDX-License-Identifier: Apache-2.0
"""What torch_npu calls differs from chip to chip: a server's operators are there on each."""

import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("serving.py")


@pytest.mark.parametrize("soc", ["Ascend910B3", "Ascend310P3", "Ascend950PR_9599"])
def test_what_a_server_runs_is_right_on_every_kind_of_chip(cli, soc) -> None:
    result = cli("run", "--soc", soc, "--", sys.executable, PROGRAM)
    assert (result.returncode, result.stdout) == (0, "ok\n"), result.stderr
