# SPDX-License-Identifier: Apache-2.0
"""Ranks exchange rows, each as many as it has; a graph captures that."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import ascend_ops

PROGRAM = Path(__file__).with_name("rank_program.py")
CASES = [[3, 3], [4, 1], [0, 2]]
"""Rows of each rank."""


def on_two_ranks(store, device):
    """Return what each rank printed."""
    simulator = shutil.which("ascend-sim", path=str(Path(sys.executable).parent))
    command = [simulator, "run", "--devices", "2", "--"] if simulator else []
    ranks = [
        subprocess.Popen(
            [*command, sys.executable, PROGRAM, store, str(rank), device.type, json.dumps(CASES)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        shown = [rank.communicate(timeout=120)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    return [json.loads(text.splitlines()[-1]) for text in shown]


def test_each_rank_gets_the_rows_of_all_and_its_part_of_the_sum(device, tmp_path):
    results = on_two_ranks(tmp_path / "store", device)

    for counts, *of_ranks in zip(CASES, *results, strict=True):
        everything = torch.arange(2.0 * sum(counts)).view(-1, 2)
        for part, exchanges in zip(torch.split(everything, counts), of_ranks, strict=True):
            assert len(exchanges) == (2 if device.type == "npu" else 1)
            # The second exchange, of three times the rows, is a graph's.
            for factor, (gathered, scattered) in zip((1, 3), exchanges, strict=False):
                assert gathered == (factor * everything).tolist()
                assert scattered == (factor * (1 + 2) * part).tolist()


@pytest.fixture
def one_rank(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_rank")
@pytest.mark.parametrize(
    ("counts", "problem"),
    [([3], "x must have 3 rows"), ([2, 2], "rows of 1 ranks"), ([-1], "rows of 1 ranks")],
)
def test_rows_that_do_not_fit_are_an_error(counts, problem):
    for exchange in (ascend_ops.gather_rows, ascend_ops.sum_and_scatter_rows):
        with pytest.raises(ascend_ops.OperatorArgumentError, match=problem):
            exchange(torch.zeros(2, 2), counts)
