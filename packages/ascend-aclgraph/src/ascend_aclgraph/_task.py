# SPDX-License-Identifier: Apache-2.0
"""Captured tasks whose arguments live on the host.

Some operators read lengths and the like from host memory when they are launched: a captured task of
theirs repeats the values of its capture. ACL can rewrite such a task between replays if it was
captured as a task group; in the graph, an external event before the task holds it back until that
is done. `_updatable` captures them, `_updater` rewrites them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["HostArgs", "Task", "Update", "UpdateRecord"]

HostArgs = Mapping[str, Any]
"""Host arguments of one task, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class UpdateRecord:
    """One captured task with host arguments, to look at: `Graph.update` changes it.

    Attributes
    ----------
    name
        Unique in its graph.
    op
        The operator; writes into tensors among `kwargs`.
    kwargs
        Its arguments, as the last update or else the capture gave them; tensors whose memory the
        graph owns or keeps alive as weak references. Read-only.
    host_args
        Those of `kwargs` that an update gives.
    """

    name: str
    op: Callable[..., Any]
    kwargs: Mapping[str, Any]
    host_args: tuple[str, ...]


Update = HostArgs | Mapping[str, HostArgs] | Callable[[UpdateRecord], HostArgs]
"""New host arguments: for all records alike, or by record name, or computed per record."""


class Task:
    """What it takes to rewrite a captured task and to let it run.

    Parameters
    ----------
    name, op, kwargs, host_args
        As in `UpdateRecord`; the task owns `kwargs`.
    event
        External event that the task waits for and resets.
    handle
        Of the task group.
    """

    __slots__ = ("event", "handle", "kwargs", "op", "record")

    def __init__(
        self,
        name: str,
        op: Callable[..., Any],
        kwargs: dict[str, Any],
        host_args: tuple[str, ...],
        event: Any,
        handle: Any,
    ) -> None:
        self.record = UpdateRecord(name, op, MappingProxyType(kwargs), host_args)
        self.op = op
        self.kwargs = kwargs
        self.event = event
        self.handle = handle
