# SPDX-License-Identifier: Apache-2.0
"""Ranks that end wait for each other, and not for ever."""

import subprocess
import sys
from pathlib import Path

import pytest

_LATE = """
import sys, time
from datetime import timedelta
import torch.distributed as dist
from ascend_xlite_bridge import XliteRankError, meet

rank, way = int(sys.argv[1]), sys.argv[2]
store = dist.FileStore(sys.argv[3], 2)
dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
if rank and way == "ends":
    sys.exit()
if rank and way == "is late":
    store.wait(["seen"], timedelta(seconds=60))
    sys.exit()
try:
    meet(dist.group.WORLD, 1)
    print("met", flush=True)
except XliteRankError as error:
    print("error:", error, flush=True)
store.set("seen", "1")
"""


@pytest.mark.parametrize(
    ("way", "said"), [("comes", "met"), ("ends", "error: another"), ("is late", "error: another")]
)
def test_a_rank_does_not_wait_for_ever(way: str, said: str, tmp_path: Path) -> None:
    """Given two processes, of which the second comes, has ended, or takes longer than allowed."""
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", _LATE, str(rank), way, str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    shown = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert shown[0].startswith(said)
