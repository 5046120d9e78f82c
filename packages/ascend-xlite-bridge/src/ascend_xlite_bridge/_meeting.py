# SPDX-License-Identifier: Apache-2.0
"""Ranks wait for each other before one gives memory back that another may still read."""

from datetime import timedelta

import torch.distributed

from ascend_xlite_bridge.errors import XliteRankError

__all__ = ["meet"]


def meet(group: torch.distributed.ProcessGroup, seconds: float = 10) -> None:
    """Wait until all ranks have come here.

    Parameters
    ----------
    group
        Of the ranks, on the CPU (gloo).
    seconds
        How long the others may take. All were told to end, so they are near or never come.

    Raises
    ------
    XliteRankError
        If one has ended, or is late.
    """
    try:
        torch.distributed.monitored_barrier(group, timedelta(seconds=seconds), wait_all_ranks=True)
    except RuntimeError as error:
        raise XliteRankError(str(error).strip().splitlines()[0]) from error
