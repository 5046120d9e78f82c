# SPDX-License-Identifier: Apache-2.0
"""What a user can set: `additional_config["xlite_graph_config"]`."""

from dataclasses import dataclass, fields
from typing import Self

from ascend_core import OptionError, read_options

__all__ = ["XliteConfig"]

_WHERE = "xlite_graph_config"


@dataclass(frozen=True, slots=True, kw_only=True)
class XliteConfig:
    """Options of the xlite engine.

    Parameters
    ----------
    enabled
        Whether xlite runs the model.
    full_mode
        Whether it runs prefill too, and not decode only. Needs `enabled`.

    Raises
    ------
    OptionError
        If an option is no bool, or if the options contradict each other.
    """

    enabled: bool = False
    full_mode: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, bool):
                kind = type(value).__name__
                raise OptionError(
                    f"{_WHERE}.{field.name}", value, f"it is of type {kind}", "true, false"
                )
        if self.full_mode and not self.enabled:
            raise OptionError(
                f"{_WHERE}.full_mode",
                self.full_mode,
                f"it says how xlite runs, and {_WHERE}.enabled is false",
                "enabled = true with it, or full_mode = false",
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
        OptionError
            If a value does not fit.
        """
        return read_options(cls, options, _WHERE)
