# SPDX-License-Identifier: Apache-2.0
"""Numbers of bytes as people write them."""

import re

from ascend_sim._errors import ConfigError

__all__ = ["parse_size"]

_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)")


def parse_size(text: str) -> int:
    """Return a number of bytes from text such as ``"8GiB"``.

    Parameters
    ----------
    text : str
        A number with one of the units KiB, MiB, GiB, TiB (powers of 1024), or bare bytes.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ConfigError
        If the text is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    units = {unit.lower(): factor for unit, factor in _UNITS.items()}
    if match is None or match["unit"].lower() not in units:
        raise ConfigError(
            f"{text!r} is not a size: write a number with KiB, MiB, GiB or TiB, such as 8GiB, "
            "or a number of bytes"
        )
    return int(float(match["number"]) * units[match["unit"].lower()])
