# SPDX-License-Identifier: Apache-2.0
"""Ranks that capture graphs together: what decides about graphs must be equal on all of them."""

from typing import TypeVar

import torch.distributed
from ascend_core import OptionError

__all__ = ["check_equal_on_ranks", "first_on_ranks", "values_on_ranks"]

T = TypeVar("T")


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
    values = values_on_ranks(value, group)
    for rank, other in enumerate(values):
        if other != values[0]:
            raise OptionError(
                option,
                values[0],
                f"that is rank 0's; rank {rank} has {other!r}, and ranks with unequal graphs wait "
                "for each other for ever",
                "the same value on every rank",
            )


def first_on_ranks(value: T | None, group: torch.distributed.ProcessGroup | None) -> T | None:
    """Agree on the value of the first rank that has one; all ranks of the group must call it.

    Parameters
    ----------
    value
        Of this rank; None if it has none. Can be pickled.
    group
        Of the ranks, on the CPU (gloo); None for one rank.

    Returns
    -------
    object or None
        The same on every rank; None if none has one.
    """
    return next((each for each in values_on_ranks(value, group) if each is not None), None)


def values_on_ranks(value: T, group: torch.distributed.ProcessGroup | None) -> list[T]:
    """Gather what each rank has; all ranks of the group must call it.

    Parameters
    ----------
    value
        Of this rank; can be pickled.
    group
        Of the ranks, on the CPU (gloo); None for one rank.

    Returns
    -------
    list
        By rank.
    """
    if group is None or group.size() == 1:
        return [value]
    values = [value] * group.size()
    torch.distributed.all_gather_object(values, value, group=group)
    return values
