# SPDX-License-Identifier: Apache-2.0
"""Which sizes get a graph where not all can have one."""

from collections.abc import Collection, Iterable

__all__ = ["choose_sizes"]


def choose_sizes(sizes: Iterable[int], count: int, *, keep: Collection[int] = ()) -> list[int]:
    """Choose the sizes with the least expected padding.

    Of the batches that the largest size holds, one of n rows is expected 1/n as often as one of a
    single row: a server is as often between 1 and 2 requests as between 128 and 256. So small sizes
    lie close together and large ones far apart.

    Parameters
    ----------
    sizes
        To choose from, in rows.
    count
        How many can be had.
    keep
        Sizes that are chosen first: after the largest one, without which the largest batches have
        no graph, and in this order. What is not in `sizes` is ignored.

    Returns
    -------
    list of int
        Ascending; all of `sizes` if `count` allows, and none if it is not positive.
    """
    ladder = sorted(set(sizes))
    if count >= len(ladder):
        return ladder
    if count <= 0:
        return []
    ranked = dict.fromkeys([ladder[-1], *(size for size in keep if size in ladder)])
    kept = set(list(ranked)[:count])
    costs = _Costs(ladder[-1])
    # best[i]: least padding of the batches up to ladder[i], and the sizes that give it, which are
    # as many as the round and end with ladder[i]. One more size per round.
    best = {
        index: (costs.of(0, size), [size])
        for index, size in enumerate(ladder)
        if not any(other < size for other in kept)
    }
    for _ in range(count - 1):
        longer = {}
        for index, size in enumerate(ladder):
            ways = [
                (padding + costs.of(chosen[-1], size), [*chosen, size])
                for below, (padding, chosen) in best.items()
                if below < index and not kept.intersection(ladder[below + 1 : index])
            ]
            if ways:
                longer[index] = min(ways)
        best = longer
    return best[len(ladder) - 1][1]


class _Costs:
    """Padding of the batches between two sizes, from sums of 1/n."""

    def __init__(self, largest: int) -> None:
        self._harmonic = [0.0]
        for rows in range(1, largest + 1):
            self._harmonic.append(self._harmonic[-1] + 1 / rows)

    def of(self, below: int, size: int) -> float:
        """Weigh the padding of the batches of more than `below` rows that are padded to `size`."""
        return size * (self._harmonic[size] - self._harmonic[below]) - (size - below)
