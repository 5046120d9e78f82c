# SPDX-License-Identifier: Apache-2.0
"""What a user can set about the graphs of a server: the mapping ``graph``."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias, get_args

from ascend_core import OptionError, StreamBudget, StreamSupply, raise_problems, read_options

__all__ = ["GraphConfig"]

SelfCheck: TypeAlias = Literal["off", "startup"]

_WHERE = "graph"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphConfig:
    """Options of the graphs that a server captures.

    Parameters
    ----------
    stream_budget
        Whether graphs are captured within a budget of streams. Without one, captures go on until
        the device has no more streams.
    max_streams
        The budget, 1 or more. None for what the device has left, and within a partition's share.
    reserve_streams
        How many streams the budget leaves for communicators and other use at request time, 0 or
        more. None for 40, but no more than a quarter of what is left.

    self_check
        Whether graphs are compared with eager runs before there are requests: "startup", or "off".
        Those that differ are not used.

    Raises
    ------
    OptionError, SeveralOptionsError
        If a value cannot be used, or if the options contradict each other.
    """

    stream_budget: bool = True
    max_streams: int | None = None
    reserve_streams: int | None = None
    self_check: SelfCheck = "off"

    def __post_init__(self) -> None:
        raise_problems(self._problems())

    def _problems(self) -> Iterator[OptionError]:
        has_budget: object = self.stream_budget
        if not isinstance(has_budget, bool):
            option = f"{_WHERE}.stream_budget"
            yield OptionError(option, has_budget, "not a boolean", "true, false")
        if self.self_check not in (moments := get_args(SelfCheck)):
            yield OptionError(f"{_WHERE}.self_check", self.self_check, "unknown moment", moments)
        for name, least in (("max_streams", 1), ("reserve_streams", 0)):
            value, option = getattr(self, name), f"{_WHERE}.{name}"
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                yield OptionError(option, value, "not a number of streams", f"{least} or more")
            if has_budget is False:
                reason = f"it is part of the budget, and {_WHERE}.stream_budget is false"
                yield OptionError(option, value, reason, "stream_budget = true, or leave it out")
        if self.max_streams is not None and self.reserve_streams is not None:
            yield OptionError(
                f"{_WHERE}.reserve_streams",
                self.reserve_streams,
                f"a reserve is taken off a measured budget, and {_WHERE}.max_streams sets one",
                "one of the two",
            )

    @classmethod
    def from_mapping(cls, options: object) -> Self:
        """Read the options as they come from JSON or a command line.

        Parameters
        ----------
        options
            A mapping from names of the fields; those that are left out have their defaults.

        Raises
        ------
        UnknownKeyError
            If a key is no option; it names the nearest one.
        OptionError, SeveralOptionsError
            If a value cannot be used.
        """
        return read_options(cls, options, _WHERE)

    def budget(self, supply: StreamSupply) -> StreamBudget | None:
        """Say how many streams graphs may take.

        Parameters
        ----------
        supply
            Of the device.

        Returns
        -------
        StreamBudget or None
            None if there is no limit: it is switched off, or CANN is too old to count streams,
            which is logged.

        Raises
        ------
        OptionError
            If a limit was set, and CANN is too old to count streams.
        """
        if not self.stream_budget:
            return None
        given = {"max_streams": self.max_streams, "reserve_streams": self.reserve_streams}
        if supply.available() is None:
            for name, value in given.items():
                if value is not None:
                    reason = "this CANN does not report how many streams a device has left"
                    valid = "leave it out, or a CANN with aclrtGetStreamAvailableNum"
                    raise OptionError(f"{_WHERE}.{name}", value, reason, valid)
            _logger.warning(
                "graphs are captured without a budget of streams, for this CANN does not report "
                "how many are left (aclrtGetStreamAvailableNum)"
            )
            return None
        if self.max_streams is not None:
            return StreamBudget(self.max_streams, f"{_WHERE}.max_streams", is_quota=True)
        return supply.budget(self.reserve_streams)
