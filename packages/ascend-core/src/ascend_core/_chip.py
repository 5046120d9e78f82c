# SPDX-License-Identifier: Apache-2.0
"""What a chip lacks of what the others have, and how many streams it has.

CANN has no question for it: a call that the chip does not know fails with 207000 when it is made,
which is after the model was loaded. So it is known here, by the name of the chip, and only what is
known to be missing is called so.
"""

from enum import Enum

__all__ = ["Feature", "lacks", "stream_limit"]


class Feature(Enum):
    """What not every chip has; the value is its name in a message."""

    VALUE_WAIT = "value waits (aclrtValueWait)"
    """A stream waits for a word in memory; torch_npu's external events are made of it."""
    QUEUES_AT_REPLAY = "queues that are bound when a graph runs"
    """A graph takes hardware queues when it runs, and idle graphs give theirs up. Without it, every
    graph takes streams for good when it is captured."""
    BFLOAT16 = "bfloat16"


# By the beginning of the name. CANN's reference of aclrtValueWait and the table of properties in
# its runtime (src/runtime/config, by chip); for bfloat16 the reference of its operators.
_LACKED = {
    "Ascend310P": frozenset({Feature.VALUE_WAIT, Feature.QUEUES_AT_REPLAY, Feature.BFLOAT16}),
}


def lacks(soc: str, feature: Feature) -> bool:
    """Tell whether a chip is known not to have a feature.

    Parameters
    ----------
    soc
        Name of the chip: "Ascend310P3". One that is not known lacks nothing.
    feature
        What is asked for.
    """
    return any(soc.startswith(name) and feature in lacked for name, lacked in _LACKED.items())


# By the beginning of the name: the most streams that CANN's reference of aclrtCreateStream allows.
_STREAMS = {"Ascend310P": 1024, "Ascend910B": 1984, "Ascend910_93": 1984, "Ascend950": 1984}


def stream_limit(soc: str) -> int | None:
    """Give the number of streams that a device of a chip has, all its users together.

    Parameters
    ----------
    soc
        Name of the chip: "Ascend910B3".

    Returns
    -------
    int or None
        As documented; None for a chip that is not known.
    """
    return next((count for name, count in _STREAMS.items() if soc.startswith(name)), None)
