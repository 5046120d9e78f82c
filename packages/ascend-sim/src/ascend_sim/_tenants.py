# SPDX-License-Identifier: Apache-2.0
"""Other tenants of the simulated devices, as text: ``streams=700,after=2s,steps=7,every=1s``."""

import re
from collections.abc import Callable

from ascend_sim._errors import ConfigError
from ascend_sim._size import parse_size

__all__ = ["canonical", "parse_seconds"]

_SECONDS = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s)")


def parse_seconds(text: str) -> int:
    """Return milliseconds from text such as ``"2s"`` or ``"500ms"``.

    Raises
    ------
    ConfigError
        If the text is no duration.
    """
    match = _SECONDS.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a duration: write a number with s or ms, such as 2s")
    return round(float(match["number"]) * (1000 if match["unit"] == "s" else 1))


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ConfigError(f"{text!r} is not a number")
    return int(text)


# Key as people write it: key as libascendcl reads it, and how the value is read. Both are valid.
_KEYS: dict[str, tuple[str, Callable[[str], int]]] = {
    **{name: (name, _count) for name in ("streams", "stream_ids", "events", "notifies", "models")},
    "hbm": ("hbm_bytes", parse_size),
    "hbm_bytes": ("hbm_bytes", _count),
    "after": ("after_ms", parse_seconds),
    "after_ms": ("after_ms", _count),
    "every": ("every_ms", parse_seconds),
    "every_ms": ("every_ms", _count),
    "steps": ("steps", _count),
}
_RESOURCES = ("streams", "stream_ids", "events", "notifies", "models", "hbm_bytes")


def canonical(text: str) -> str:
    """Return one tenant as libascendcl reads it.

    Parameters
    ----------
    text : str
        What it takes of each device: ``streams``, ``stream_ids``, ``events``, ``notifies``,
        ``models`` (numbers), ``hbm`` (a size); how long after the first use of a device:
        ``after``; in how many equal ``steps``, one ``every`` so long. Separated by commas.

    Raises
    ------
    ConfigError
        If a key or a value is not valid, or nothing is taken; the text names the valid keys.
    """
    settings: dict[str, int] = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals or key not in _KEYS:
            raise ConfigError(f"tenant {text!r}: {part!r} is not one of {'=, '.join(_KEYS)}=")
        name, read = _KEYS[key]
        try:
            settings[name] = read(value)
        except ConfigError as error:
            raise ConfigError(f"tenant {text!r}: {key}: {error}") from error
    if not settings.keys() & set(_RESOURCES):
        raise ConfigError(f"tenant {text!r} takes nothing: give one of {', '.join(_RESOURCES)}")
    if settings.get("steps") == 0:
        raise ConfigError(f"tenant {text!r}: steps must be at least 1")
    return ",".join(f"{name}={value}" for name, value in settings.items())
