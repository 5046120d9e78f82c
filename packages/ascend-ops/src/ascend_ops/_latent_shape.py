# SPDX-License-Identifier: Apache-2.0
"""Sizes of latent attention, and what follows from them."""

from dataclasses import dataclass

__all__ = ["LatentShape"]


@dataclass(frozen=True, slots=True)
class LatentShape:
    """Sizes of latent attention: one latent per token, from which all heads' keys and values come.

    Attributes
    ----------
    heads
        Of this device.
    rank
        Elements of a latent.
    rotated
        Elements of a key that are rotated by position. They are cached beside the latent, and all
        heads share them.
    plain
        Elements of a key that are made of the latent, per head.
    value
        Elements of a value, per head.
    """

    heads: int
    rank: int
    rotated: int
    plain: int
    value: int

    @property
    def least_queries(self) -> int | None:
        """From how many queries of a request on it pays to make keys and values for all heads.

        Multiplications per head and key, for q queries: among latents (the absorbed form) scores
        take ``q * (rank + rotated)`` and results ``q * rank``. With keys and values these take
        ``q * (plain + rotated)`` and ``q * value``, and making them ``rank * (plain + value)``. The
        products of queries and results with the same matrices, which the absorbed form needs and
        the other does not, are left out: they do not grow with the keys.

        Returns
        -------
        int or None
            171 for DeepSeek-V3. None if latents are so short that it never pays.
        """
        saved = 2 * self.rank - self.plain - self.value
        return -(-self.rank * (self.plain + self.value) // saved) if saved > 0 else None

    def most_keys(self, elements: int) -> int:
        """How many keys may be made at once so that this takes no more than some memory.

        Per key that is its latent with what is rotated; and per head what the latent is multiplied
        to, the key and the value as the kernel wants them, and results of as many queries: these
        keys' and all keys' so far, and both merged.

        Parameters
        ----------
        elements
            The memory, in elements of the model's type.
        """
        head = (self.plain + self.value) + (self.plain + self.rotated) + self.value + 3 * self.value
        return elements // (self.heads * head + self.rank + self.rotated)
