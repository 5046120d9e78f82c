# SPDX-License-Identifier: Apache-2.0
"""Which sizes get a graph where not all can have one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["SizeLadder", "StreamCost", "choose_sizes", "count_sizes_that_fit", "expected_padding"]


@dataclass(frozen=True, slots=True)
class SizeLadder:
    """Sizes of one kind of graphs.

    Parameters
    ----------
    sizes
        Ascending, in rows.
    keep
        Those that matter most, as for `choose_sizes`.
    """

    sizes: Sequence[int]
    keep: Collection[int]


@dataclass(frozen=True, slots=True)
class StreamCost:
    """Streams that one kind of graphs takes: for the first of them, and for each size."""

    once: int
    each: int

    def of(self, count: int) -> int:
        """Streams of `count` sizes; what is taken once stays taken."""
        return self.once + self.each * count


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


def count_sizes_that_fit(
    ladders: Mapping[str, SizeLadder], costs: Mapping[str, StreamCost], streams: int
) -> dict[str, int]:
    """Say how many sizes of each kind of graphs fit into a number of streams.

    Sizes go one by one: that whose loss adds the least padding for each stream that it frees. Those
    to keep go after all others, and the largest of a kind last.

    Parameters
    ----------
    ladders
        Sizes by kind, as many as are wanted.
    costs
        Of the same kinds. Of a kind whose sizes cost nothing, all fit.
    streams
        That all kinds together may take.

    Returns
    -------
    dict
        Counts by kind, for `choose_sizes`; all 0 if not even one size fits.
    """
    chosen = {kind: list(ladder.sizes) for kind, ladder in ladders.items()}

    def loss(kind: str, size: int) -> tuple[int, float]:
        sizes, each = chosen[kind], costs[kind].each
        if size == sizes[-1]:
            return (2, -each)  # of the last ones, those that need the most go first
        place = sizes.index(size)
        added = _added_padding(sizes[place - 1] if place else 0, size, sizes[place + 1])
        return (int(size in ladders[kind].keep), added / each)

    def taken() -> int:
        return sum(costs[kind].of(len(sizes)) for kind, sizes in chosen.items())

    lost = []
    while taken() > streams:
        frees = [(k, size) for k, sizes in chosen.items() if costs[k].each for size in sizes]
        if not frees:
            break
        kind, size = min(frees, key=lambda each: loss(*each))
        chosen[kind].remove(size)
        lost.append((kind, size))
    for kind, size in reversed(lost):  # the loss of one may have freed enough for several others
        if taken() + costs[kind].each <= streams:
            chosen[kind].append(size)
    return {kind: len(sizes) for kind, sizes in chosen.items()}


def expected_padding(sizes: Iterable[int]) -> float:
    """Part of the computed rows that is padding, from 0 to 1, with batches as for `choose_sizes`.

    Parameters
    ----------
    sizes
        That have a graph; at least one.
    """
    ladder = sorted(set(sizes))
    costs = _Costs(ladder[-1])
    padding = sum(costs.of(below, size) for below, size in zip([0, *ladder], ladder, strict=False))
    return padding / (padding + ladder[-1])


def _added_padding(below: int, size: int, above: int) -> float:
    """Weigh the padding of the batches that need `size` if they are padded to `above` instead."""
    return (above - size) * sum(1 / rows for rows in range(below + 1, size + 1))


class _Costs:
    """Padding of the batches between two sizes, from sums of 1/n."""

    def __init__(self, largest: int) -> None:
        self._harmonic = [0.0]
        for rows in range(1, largest + 1):
            self._harmonic.append(self._harmonic[-1] + 1 / rows)

    def of(self, below: int, size: int) -> float:
        """Weigh the padding of the batches of more than `below` rows that are padded to `size`."""
        return size * (self._harmonic[size] - self._harmonic[below]) - (size - below)
