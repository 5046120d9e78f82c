# SPDX-License-Identifier: Apache-2.0
"""A program: one rank per process computes texts, and writes its hidden states to a file.

Ranks share each layer and have the same texts, or are data-parallel, with texts of their own, and
share experts: whole ones, or each of them.
"""

import subprocess
import sys
import time
from pathlib import Path

import torch

SIZE = 2
PROMPTS = (37, 5)
OTHER_PROMPTS = (20,)
"""Of the second data-parallel rank, which has fewer tokens in each step."""


def compute(rank: int, family: str, form: str, folder: Path, kind: str) -> None:
    from driver import open_model
    from models import make_config, make_model
    from reference import Texts, by_xlite

    from ascend_xlite_bridge import XliteRanks

    config = make_config(family)
    is_shared = kind == "tensor"
    texts = Texts.random(config, prompts=PROMPTS if is_shared or rank == 0 else OTHER_PROMPTS)
    sizes = {"tp_size": SIZE} if is_shared else {"dp_size": SIZE}
    ranks = XliteRanks(rank=rank, is_expert_parallel=kind == "whole experts", **sizes)
    with open_model(make_model(config), config, device=rank, ranks=ranks) as model:
        hidden = by_xlite(model, texts, form, widest=() if is_shared else PROMPTS)
        requests = len(texts.ids)
        last = hidden[0][-requests:].to(model.decoder.dtype).to(model.device)
        rows = torch.arange(requests - 1, -1, -1, device=model.device)
        logits = model.logits(last, rows).cpu()
        torch.save((hidden, logits), folder / f"{rank}.part")
        (folder / f"{rank}.part").rename(folder / f"{rank}.pt")
        while not all((folder / f"{each}.pt").exists() for each in range(SIZE)):
            time.sleep(0.05)  # a rank reads the memory of the others until its last step has ended


def main(family: str, form: str, folder: str, kind: str) -> int:
    ranks = [
        subprocess.Popen([sys.executable, __file__, family, form, folder, kind, str(rank)])
        for rank in range(SIZE)
    ]
    return max(rank.wait(timeout=240) for rank in ranks)


if __name__ == "__main__":
    family, form, folder, kind, *rank = sys.argv[1:]
    if rank:
        compute(int(rank[0]), family, form, Path(folder), kind)
    else:
        sys.exit(main(family, form, folder, kind))
