# SPDX-License-Identifier: Apache-2.0
"""Capturing an operator so that replays can give it new host arguments."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch._ops import OpOverload, OpOverloadPacket

from ascend_aclgraph import _native
from ascend_aclgraph._capture import Capture, active_capture
from ascend_aclgraph._native import npu
from ascend_aclgraph._task import Task
from ascend_aclgraph.errors import UnknownHostArgError, UpdateError

__all__ = ["updatable"]

_TensorMap = Callable[[torch.Tensor], torch.Tensor]


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
    name = name or f"{_op_name(op)}.{len(capture.tasks)}"
    _check_task(capture, op, host_args, name, kwargs)
    stream = _native.current_stream()
    event = npu.ExternalEvent()
    event.wait(stream)
    event.reset(stream)
    _native.group_begin(stream)
    result = op(**kwargs)
    handle = _native.group_end(stream)
    _check_result(name, result, kwargs)
    weak = _weak_reference(capture, op)
    weak_kwargs = {key: _map_tensors(weak, value) for key, value in kwargs.items()}
    capture.tasks.append(Task(name, op, weak_kwargs, host_args, event, handle))
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
    if any(task.record.name == name for task in capture.tasks):
        raise UpdateError(
            f"the graph already has an update record named {name!r}; names are unique."
        )
    schema = getattr(op, "_schema", None)
    takes_workspace = schema and any(argument.name == "workspace" for argument in schema.arguments)
    if takes_workspace and kwargs.get("workspace") is None:
        raise UpdateError(
            f"{name} needs workspace=: scratch memory that the operator allocates itself is "
            "gone when the graph is replayed. torch_npu has a matching ..._get_max_workspace()."
        )


def _check_result(name: str, result: Any, kwargs: dict[str, Any]) -> None:
    """Refuse results in memory of the operator's own: an update would write somewhere else."""
    given = {tensor.data_ptr() for tensor in _leaves(kwargs.values())}
    if any(tensor.data_ptr() not in given for tensor in _leaves((result,))):
        raise UpdateError(
            f"{name} allocates its results itself, so an updated task would write somewhere "
            "else. Use the operator's .out overload and pass the results with out=."
        )


def _op_name(op: Callable[..., Any]) -> str:
    return str(getattr(op, "__name__", op))


def _weak_reference(capture: Capture, op: Callable[..., Any]) -> _TensorMap:
    """Choose how the record refers to a tensor, so that later work may have its memory."""
    if isinstance(op, (OpOverload, OpOverloadPacket)):
        # It has touched all of its tensors: the graph keeps those that are not of its pool.
        return lambda tensor: _native.weak_tensor(tensor) if tensor.device.type == "npu" else tensor
    # An update may touch what this call of the function did not.
    capture.keep_alive.update_pool()
    return capture.pool.weak


def _map_tensors(change: _TensorMap, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_map_tensors(change, item) for item in value)
    return value


def _leaves(values: Iterable[Any]) -> Iterable[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _leaves(value)
