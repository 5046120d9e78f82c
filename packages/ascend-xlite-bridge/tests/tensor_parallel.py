# SPDX-License-Identifier: Apache-2.0
"""A program: one rank per process computes texts, and writes its hidden states to a file."""

import subprocess
import sys
import time
from pathlib import Path

import torch

SIZE = 2


def compute(rank: int, family: str, form: str, folder: Path) -> None:
    from driver import open_model, ranks_of
    from models import make_config, make_model
    from reference import Texts, by_xlite

    config = make_config(family)
    texts = Texts.random(config, prompts=(37, 5))
    with open_model(make_model(config), config, device=rank, ranks=ranks_of(rank, SIZE)) as model:
        hidden = by_xlite(model, texts, form)
        last = hidden[0][-2:].to(model.decoder.dtype).to(model.device)
        logits = model.logits(last, torch.tensor([1, 0], device=model.device)).cpu()
        torch.save((hidden, logits), folder / f"{rank}.part")
        (folder / f"{rank}.part").rename(folder / f"{rank}.pt")
        while not all((folder / f"{each}.pt").exists() for each in range(SIZE)):
            time.sleep(0.05)  # a rank reads the memory of the others until its last step has ended


def main(family: str, form: str, folder: str) -> int:
    ranks = [
        subprocess.Popen([sys.executable, __file__, family, form, folder, str(rank)])
        for rank in range(SIZE)
    ]
    return max(rank.wait(timeout=240) for rank in ranks)


if __name__ == "__main__":
    family, form, folder, *rank = sys.argv[1:]
    if rank:
        compute(int(rank[0]), family, form, Path(folder))
    else:
        sys.exit(main(family, form, folder))
