# SPDX-License-Identifier: Apache-2.0
"""Ranks that would capture unequal graphs are told so, instead of waiting for each other."""

import subprocess
import sys
from pathlib import Path

import pytest

_RANK = """
import json, sys
import torch.distributed as dist
from ascend_aclgraph import check_equal_on_ranks
from ascend_core import OptionError

rank, sizes = int(sys.argv[1]), json.loads(sys.argv[2])
store = dist.FileStore(sys.argv[3], 2)
dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
try:
    check_equal_on_ranks("capture_sizes", sizes, dist.group.WORLD)
    print("equal")
except OptionError as error:
    print(error)
dist.destroy_process_group()
"""


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("[1, 2]", "equal"),
        ("[1, 4]", "option capture_sizes = [1, 2]: that is rank 0's; rank 1 has [1, 4]"),
    ],
)
def test_every_rank_hears_of_the_rank_that_differs(second: str, said: str, tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", _RANK, str(rank), sizes, str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank, sizes in enumerate(["[1, 2]", second])
    ]
    shown = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [text.startswith(said) for text in shown] == [True, True]
