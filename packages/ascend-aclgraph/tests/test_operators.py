# SPDX-License-Identifier: Apache-2.0
"""Operators of any registration are captured as torch runs them, with all that they touch."""

import warnings
from contextlib import nullcontext

import pytest
import torch
from torch._ops import HigherOrderOperator
from torch.library import Library
from torch.utils._python_dispatch import TorchDispatchMode

from ascend_aclgraph import CaptureOptions, Graph

NAMESPACE = "aclgraph_operators"
SCHEMA = "(Tensor x) -> Tensor"
LIBRARY = Library(NAMESPACE, "FRAGMENT")
LIBRARY_OF_TORCH = Library("aten", "IMPL")


class Shift:
    """What every operator here computes: `x + hidden`, with a tensor that is not an argument."""

    def __init__(self):
        self.hidden = torch.full((16,), 5.0, device="npu")

    def __call__(self, x):
        return x + self.hidden


def library_op(name, shift, key):
    LIBRARY.define(name + SCHEMA)
    LIBRARY.impl(name, shift, key)
    return getattr(getattr(torch.ops, NAMESPACE), name)


def private_use_1(shift):
    return library_op("private_use_1", shift, "PrivateUse1"), nullcontext()


def composite_explicit(shift):
    return library_op("composite_explicit", shift, "CompositeExplicitAutograd"), nullcontext()


def composite_implicit(shift):
    return library_op("composite_implicit", shift, "CompositeImplicitAutograd"), nullcontext()


def autograd(shift):
    return library_op("autograd", shift, "AutogradPrivateUse1"), nullcontext()


def fallthrough(shift):
    op = library_op("fallthrough", shift, "PrivateUse1")
    LIBRARY.impl("fallthrough", torch.library.fallthrough_kernel, "AutogradPrivateUse1")
    return op, nullcontext()


def custom_op(shift):
    def fn(x: torch.Tensor) -> torch.Tensor:
        return shift(x)

    return torch.library.custom_op(f"{NAMESPACE}::custom_op", fn, mutates_args=()), nullcontext()


def custom_op_of_the_device(shift):
    def fn(x: torch.Tensor) -> torch.Tensor:
        return shift(x)

    name = f"{NAMESPACE}::custom_op_of_the_device"
    return torch.library.custom_op(name, fn, mutates_args=(), device_types="npu"), nullcontext()


def triton_op(shift):
    def fn(x: torch.Tensor) -> torch.Tensor:
        return shift(x)

    return torch.library.triton_op(f"{NAMESPACE}::triton_op", fn, mutates_args=()), nullcontext()


def nested_custom_ops(shift):
    inner = library_op("inner", shift, "CompositeExplicitAutograd")

    def fn(x: torch.Tensor) -> torch.Tensor:
        return inner(x)

    return torch.library.custom_op(f"{NAMESPACE}::outer", fn, mutates_args=()), nullcontext()


def rule_of_a_mode(shift):
    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, _types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    op = library_op("rule_of_a_mode", lambda x: x + 1000, "CompositeExplicitAutograd")
    torch.library.register_torch_dispatch(
        f"{NAMESPACE}::rule_of_a_mode",
        Mode,
        lambda _mode, _func, _types, args, _kwargs: shift(*args),
    )
    return op, Mode()


def mode_around_a_kernel(shift):
    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, _types, args=(), kwargs=None):
            if func is torch.ops.aten.neg.default:
                return shift(*args)
            return func(*args, **(kwargs or {}))

    return torch.neg, Mode()


def kernel_of_torch_in_python(shift):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Warning only once for all operators")
        LIBRARY_OF_TORCH.impl("digamma", shift, "PrivateUse1")
    return torch.digamma, nullcontext()


def higher_order(shift):
    class Operator(HigherOrderOperator):
        def __call__(self, fn, x):
            return super().__call__(fn, x)

    op = Operator("aclgraph_operators_apply")
    for key in (torch._C.DispatchKey.AutogradPrivateUse1, torch._C.DispatchKey.PrivateUse1):
        op.py_impl(key)(lambda fn, x: fn(x))
    return lambda x: op(shift, x), nullcontext()


@pytest.mark.parametrize(
    "register",
    [
        private_use_1,
        composite_explicit,
        composite_implicit,
        autograd,
        fallthrough,
        custom_op,
        custom_op_of_the_device,
        triton_op,
        nested_custom_ops,
        rule_of_a_mode,
        mode_around_a_kernel,
        kernel_of_torch_in_python,
        higher_order,
    ],
    ids=lambda register: register.__name__,
)
def test_an_operator_is_captured_with_what_it_reaches_for(register):
    # given an operator that reads a tensor which is not an argument
    shift = Shift()
    op, around = register(shift)
    x = torch.zeros(16, device="npu")
    with around:
        graph = Graph.capture(lambda: op(x * 2) * 10)

    # when nobody but the graph holds that tensor, and its memory would be given to others
    shift.hidden = torch.full((16,), -1000.0, device="npu")
    torch.npu.synchronize()
    garbage = [torch.full((16,), float("nan"), device="npu") for _ in range(200)]

    # then replays compute what the operator computed
    for value in (0.0, 3.0):
        x.fill_(value)
        assert graph.replay().tolist() == [(2 * value + 5) * 10] * 16
    del garbage


def test_an_operator_written_in_c_is_captured():
    table = torch.arange(8, dtype=torch.int32, device="npu").view(2, 4)
    starts = torch.tensor([0, 1, 3], dtype=torch.int32, device="npu")
    positions = torch.tensor([5, 0, 1], device="npu")
    out = torch.zeros(3, dtype=torch.int64, device="npu")
    graph = Graph.capture(
        lambda: torch.ops.ascend.slot_mapping(positions, starts, table, 4, out),
        options=CaptureOptions(warmup=1),
    )
    positions.copy_(torch.tensor([9, 2, 3]))
    graph.replay()
    assert out.tolist() == [2 * 4 + 1, 4 * 4 + 2, 4 * 4 + 3]


def test_tensors_in_lists_are_kept():
    parts = [torch.full((4,), float(value), device="npu") for value in range(3)]
    graph = Graph.capture(lambda: torch.cat(parts))
    parts.clear()
    torch.npu.synchronize()
    garbage = [torch.full((4,), float("nan"), device="npu") for _ in range(200)]
    assert graph.replay().tolist() == [float(value) for value in range(3) for _ in range(4)]
    del garbage


def test_the_scratch_memory_of_an_operator_is_not_kept():
    """Sixteen operators with 4 MiB of scratch memory each need it once, not sixteen times."""

    def fn(x: torch.Tensor) -> torch.Tensor:
        return x + x.repeat(2**16).mul_(2).view(2**16, -1).sum(0)

    op = torch.library.custom_op(f"{NAMESPACE}::scratch", fn, mutates_args=())
    x = torch.ones(16, device="npu")
    torch.npu.empty_cache()
    before = torch.npu.memory_reserved()

    def layers():
        y = x
        for _ in range(16):
            y = op(y)
        return y

    graph = Graph.capture(layers, options=CaptureOptions(warmup=0))
    torch.npu.empty_cache()
    assert torch.npu.memory_reserved() - before < 32 * 2**20
    graph.close()
