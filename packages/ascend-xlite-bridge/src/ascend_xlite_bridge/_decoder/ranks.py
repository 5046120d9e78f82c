# SPDX-License-Identifier: Apache-2.0
"""How a model is divided among processes, as xlite counts."""

from dataclasses import dataclass

from ascend_core import OptionError

__all__ = ["XliteRanks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class XliteRanks:
    """The place of this process among those that run the model.

    Ranks of a tensor-parallel group are neighbours. The engine makes communicators of its own among
    them, by sockets on XLITE_NODE_IPS from port XLITE_PORT on.

    Parameters
    ----------
    rank
        Of this process among all `tp_size * dp_size`.
    tp_size
        Processes that share each layer.
    dp_size
        Groups of such processes, each with requests of its own.
    is_expert_parallel
        Whether experts are dealt out to the processes, whole, instead of being divided as layers
        are.

    Raises
    ------
    OptionError
        If the rank is not one of them.
    """

    rank: int = 0
    tp_size: int = 1
    dp_size: int = 1
    is_expert_parallel: bool = False

    def __post_init__(self) -> None:
        for name in ("tp_size", "dp_size"):
            if getattr(self, name) < 1:
                raise OptionError(name, getattr(self, name), "out of range", "1 or more")
        if not 0 <= self.rank < self.world_size:
            raise OptionError("rank", self.rank, "out of range", f"0 to {self.world_size - 1}")

    @property
    def world_size(self) -> int:
        """All processes."""
        return self.tp_size * self.dp_size

    @property
    def tp_rank(self) -> int:
        """Rank in the tensor-parallel group."""
        return self.rank % self.tp_size

    @property
    def moe_ep_size(self) -> int:
        """Processes among which experts are dealt out."""
        return self.world_size if self.is_expert_parallel else 1

    @property
    def moe_tp_size(self) -> int:
        """Processes that share each expert."""
        return 1 if self.is_expert_parallel else self.world_size

    def local_experts(self, count: int) -> range:
        """Experts of this process, of `count` in all."""
        each = count // self.moe_ep_size
        first = self.rank // self.moe_tp_size * each
        return range(first, first + each)
