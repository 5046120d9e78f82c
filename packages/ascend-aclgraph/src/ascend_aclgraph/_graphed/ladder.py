# SPDX-License-Identifier: Apache-2.0
"""Which batch sizes get a graph."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from ascend_core.options import OptionError

__all__ = ["Ladder"]


class Ladder:
    """An ascending set of batch sizes.

    Parameters
    ----------
    sizes
        Positive; order and repetition do not matter.

    Raises
    ------
    OptionError
        If there is none, or one is not positive.
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        self._sizes = sorted(set(sizes))
        if not self._sizes or self._sizes[0] < 1:
            raise OptionError(
                "batch_sizes",
                self._sizes,
                "batches have one row or more",
                "positive sizes, one at least",
            )

    @classmethod
    def up_to(cls, largest: int) -> "Ladder":
        """Make the usual ladder: 1, 2, 4, then multiples of 8, and `largest` exactly.

        The exact maximum is always a rung, as a full batch must never fall back to eager; so is 1,
        the batch that gains most from a graph.
        """
        return cls(
            [*(size for size in (1, 2, 4) if size < largest), *range(8, largest, 8), largest]
        )

    @property
    def largest(self) -> int:
        """The last rung."""
        return self._sizes[-1]

    def nearest(self, rows: int) -> int | None:
        """Smallest size that holds `rows`, or None if none does."""
        index = bisect_left(self._sizes, rows)
        return self._sizes[index] if index < len(self._sizes) else None

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, size: object) -> bool:
        return size in self._sizes

    def __repr__(self) -> str:
        return f"Ladder({self._sizes})"
