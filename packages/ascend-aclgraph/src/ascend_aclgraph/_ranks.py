# SPDX-License-Identifier: Apache-2.0
"""Ranks that capture graphs together: what decides about graphs must be equal on all of them."""

import torch.distributed
from ascend_core import OptionError

__all__ = ["check_equal_on_ranks"]


def check_equal_on_ranks(option: str, value: object, group: torch.distributed.ProcessGroup) -> None:
    """Check that an option has the same value on every rank; all ranks of the group must call it.

    A rank with other graphs than the rest launches other collectives, and then all wait for ever.

    Parameters
    ----------
    option
        Its name.
    value
        What it is set to on this rank; can be pickled and compared.
    group
        Of the ranks, on the CPU (gloo).

    Raises
    ------
    OptionError
        On every rank, if one has another value than the first.
    """
    values: list[object] = [None] * group.size()
    torch.distributed.all_gather_object(values, value, group=group)
    for rank, other in enumerate(values):
        if other != values[0]:
            raise OptionError(
                option,
                values[0],
                f"that is rank 0's; rank {rank} has {other!r}, and ranks with unequal graphs wait "
                "for each other for ever",
                "the same value on every rank",
            )
