# SPDX-License-Identifier: Apache-2.0
"""Captured tasks whose arguments live on the host, and how a replay gives them new ones.

Some operators read lengths and the like from host memory when they are launched: a captured task of
theirs repeats the values of its capture. ACL can rewrite such a task between replays if it was
captured as a task group. The order on the device is kept by two events, without the host waiting:

- in the graph, an external event before the task holds it back until the update was written;
- on the update stream, the end of the previous replay holds back the next update.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch

from ascend_aclgraph import _native
from ascend_aclgraph._capture import Capture, active_capture
from ascend_aclgraph._native import npu
from ascend_aclgraph._pool import MemoryPool
from ascend_aclgraph.errors import MissingHostArgError, UnknownHostArgError, UpdateError

__all__ = ["HostArgs", "Update", "UpdateOrder", "UpdateRecord", "Updater", "updatable"]

UpdateOrder = Literal["replay_first", "update_first"]
HostArgs = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class UpdateRecord:
    """One captured task with host arguments.

    Attributes
    ----------
    name
        Unique in its graph.
    op
        The operator; writes into tensors among `kwargs`.
    kwargs
        Its arguments; tensors of the graph's pool as weak references.
    host_args
        Those of `kwargs` that an update gives.
    event
        External event that the task waits for and resets.
    handle
        Of the task group.
    """

    name: str
    op: Callable[..., Any]
    kwargs: dict[str, Any]
    host_args: tuple[str, ...]
    event: Any
    handle: Any


Update = HostArgs | Mapping[str, HostArgs] | Callable[[UpdateRecord], HostArgs]
"""New host arguments: for all records alike, or by record name, or computed per record."""


def updatable(
    op: Callable[..., Any], /, *, host_args: Collection[str], name: str | None = None, **kwargs: Any
) -> Any:
    """Call an operator; in a capture, so that replays can give it new host arguments.

    Outside of a capture it is `op(**kwargs)` and nothing more.

    Parameters
    ----------
    op
        An operator that writes its results into tensors of the caller, such as
        `torch_npu.npu_fused_infer_attention_score.out`. Scratch memory must be the caller's too:
        pass `workspace=` where the operator takes it.
    host_args
        Names among `kwargs` whose values are read on the host and change between replays.
    name
        Of the record, unique in the graph; by default the operator's name and a number.
    **kwargs
        Arguments of `op`.

    Returns
    -------
    Any
        What `op` returns.

    Raises
    ------
    UpdateError
        If the operator's results are not the caller's tensors, if a scratch buffer is left to the
        operator, or if the stream is in a capture that `Graph.capture` did not begin.
    UnknownHostArgError
        If `host_args` names something that is not in `kwargs`.
    """
    capture = active_capture()
    if capture is None:
        if npu.is_current_stream_capturing():
            raise UpdateError(
                "updatable() is in a capture that Graph.capture() did not begin, so there is no "
                "graph to keep its record. Capture with ascend_aclgraph.Graph.capture()."
            )
        return op(**kwargs)
    return _capture_task(capture, op, tuple(host_args), name, kwargs)


def _capture_task(
    capture: Capture,
    op: Callable[..., Any],
    host_args: tuple[str, ...],
    name: str | None,
    kwargs: dict[str, Any],
) -> Any:
    name = name or f"{_op_name(op)}.{len(capture.records)}"
    _check_task(capture, op, host_args, name, kwargs)
    stream = npu.current_stream()
    event = npu.ExternalEvent()
    event.wait(stream)
    event.reset(stream)
    _native.group_begin(stream)
    result = op(**kwargs)
    handle = _native.group_end(stream)
    _check_result(name, result, kwargs)
    weak_kwargs = {key: _weak(value, capture.pool) for key, value in kwargs.items()}
    capture.records.append(UpdateRecord(name, op, weak_kwargs, host_args, event, handle))
    return result


def _check_task(
    capture: Capture,
    op: Callable[..., Any],
    host_args: Iterable[str],
    name: str,
    kwargs: dict[str, Any],
) -> None:
    for host_arg in host_args:
        if host_arg not in kwargs:
            raise UnknownHostArgError(host_arg, tuple(kwargs), f"the call of {name}")
    if any(record.name == name for record in capture.records):
        raise UpdateError(
            f"the graph already has an update record named {name!r}; names are unique."
        )
    schema = getattr(op, "_schema", None)
    takes_workspace = schema and any(argument.name == "workspace" for argument in schema.arguments)
    if takes_workspace and kwargs.get("workspace") is None:
        raise UpdateError(
            f"{name} needs workspace=: scratch memory that the operator allocates by itself is "
            "gone when the graph is replayed. torch_npu has a ..._get_max_workspace() beside it."
        )


def _check_result(name: str, result: Any, kwargs: dict[str, Any]) -> None:
    """Refuse results in memory of the operator's own: an update would write somewhere else."""
    given = {tensor.data_ptr() for tensor in _leaves(kwargs.values())}
    if any(tensor.data_ptr() not in given for tensor in _leaves((result,))):
        raise UpdateError(
            f"{name} allocates its results by itself, so an updated task would write somewhere "
            "else. Use the operator's .out overload and pass the results with out=."
        )


class Updater:
    """The update records of one graph, and how a replay serves them.

    Parameters
    ----------
    records
        In the order of their capture, which is the order in which the graph reaches them.
    order
        "replay_first": the graph starts, and runs up to the first task whose update is not there
        yet. "update_first": the graph starts when all updates are written. Soft-partitioned NPUs
        need this: there a waiting graph can keep the update from running (vllm-ascend #8317,
        #8636).
    label
        Of the graph, for messages.
    """

    def __init__(
        self, records: Iterable[UpdateRecord], order: UpdateOrder, label: Hashable
    ) -> None:
        self.records = tuple(records)
        self._by_name = {record.name: record for record in self.records}
        self._order = order
        self._where = "the graph" if label is None else f"the graph {label!r}"
        self._stream = _update_stream(npu.current_device())
        self._replayed = npu.Event()
        self._written = npu.Event()
        self._pending = False

    def stage(self, update: Update) -> None:
        """Check an update and keep it for the next replay.

        Raises
        ------
        UnknownHostArgError
            If it names something that no record has.
        MissingHostArgError
            If it leaves out a host argument or a record.
        """
        for record, values in self._resolved(update):
            record.kwargs.update(values)
        self._pending = True

    def replay(self, execute: Callable[[], None]) -> bool:
        """Issue the graph and the updates of its tasks, in order on the device.

        Parameters
        ----------
        execute
            Issues the graph on the current stream.

        Returns
        -------
        bool
            Whether new host arguments went with it.

        Raises
        ------
        UpdateError
            If an operator refused its new arguments. The graph runs nevertheless, with earlier
            arguments for some tasks, and is in order for the next update.
        """
        main = npu.current_stream()
        updated = self._pending
        self._replayed.wait(self._stream)  # does nothing before the first replay
        if self._order == "update_first":
            failure = self._serve()
            self._written.record(self._stream)
            self._written.wait(main)
            execute()
        else:
            execute()
            failure = self._serve()
        self._replayed.record(main)
        if failure is not None:
            raise UpdateError(f"{self._where} could not be updated: {failure}") from failure
        return updated

    def _serve(self) -> Exception | None:
        """Write pending updates and let every task of the replay go, whatever happens.

        A graph that is already running must not wait for ever, nor may an event be left over for
        the replay after it: so each event is recorded exactly once per replay.
        """
        failure: Exception | None = None
        with npu.stream(self._stream):
            for record in self.records:
                if self._pending and failure is None:
                    failure = _rewrite(record, self._stream)
                record.event.record(self._stream)
        self._pending = failure is not None
        return failure

    def _resolved(self, update: Update) -> list[tuple[UpdateRecord, HostArgs]]:
        if callable(update):
            pairs = [(record, update(record)) for record in self.records]
        elif any(isinstance(value, Mapping) for value in update.values()):
            pairs = self._by_record(update)
        else:
            return self._broadcast(update)
        for record, values in pairs:
            _check_values(values, record.host_args, f"the record {record.name!r}")
        return pairs

    def _by_record(self, update: Mapping[str, Any]) -> list[tuple[UpdateRecord, HostArgs]]:
        for name in update:
            if name not in self._by_name:
                raise UnknownHostArgError(name, tuple(self._by_name), self._where)
        missing = [name for name in self._by_name if name not in update]
        if missing:
            raise MissingHostArgError(missing, self._where)
        return [(record, update[record.name]) for record in self.records]

    def _broadcast(self, values: HostArgs) -> list[tuple[UpdateRecord, HostArgs]]:
        names = {name: None for record in self.records for name in record.host_args}
        _check_values(values, tuple(names), self._where)
        if all(len(record.host_args) == len(names) for record in self.records):
            return [(record, values) for record in self.records]
        return [
            (record, {name: values[name] for name in record.host_args}) for record in self.records
        ]


def _rewrite(record: UpdateRecord, stream: Any) -> Exception | None:
    _native.update_begin(stream, record.handle)
    try:
        record.op(**record.kwargs)
    except Exception as error:  # what an operator raises for bad arguments is not known here
        with suppress(RuntimeError):  # an update without its task is refused, which ends it
            _native.update_end(stream)
        return error
    _native.update_end(stream)
    return None


def _check_values(values: HostArgs, host_args: Collection[str], where: str) -> None:
    if len(values) == len(host_args) and all(name in values for name in host_args):
        return
    for name in values:
        if name not in host_args:
            raise UnknownHostArgError(name, host_args, where)
    raise MissingHostArgError([name for name in host_args if name not in values], where)


@cache
def _update_stream(device: int) -> Any:
    """Stream for the updates of all graphs of a device.

    One for all: separate ones for two models on one device have deadlocked (vllm-ascend #13600).
    """
    return npu.Stream(device=device)


def _op_name(op: Callable[..., Any]) -> str:
    return str(getattr(op, "__name__", op))


def _weak(value: Any, pool: MemoryPool) -> Any:
    if isinstance(value, torch.Tensor):
        return pool.weak(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_weak(item, pool) for item in value)
    return value


def _leaves(values: Iterable[Any]) -> Iterable[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _leaves(value)
