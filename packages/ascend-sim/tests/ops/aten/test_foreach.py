# SPDX-License-Identifier: Apache-2.0
"""Functions of lists of tensors, and what is built on them: optimizers, clipping, loss scaling."""

import pytest
import torch
from support.aclnn import call
from support.oracle import FLOATS, assert_same, strided, values

UNARY = """
    abs acos asin atan cos cosh erf erfc exp expm1 log log10 log1p log2 neg reciprocal sigmoid sign
    sin sinh sqrt tan tanh round floor ceil trunc frac
""".split()  # noqa: SIM905
BINARY = ["add", "sub", "mul", "div", "maximum", "minimum", "pow"]
NUMBERS = [2.0, [0.5, 2.0, 3.0]]


def tensors(dtype: torch.dtype = torch.float32, seed: int = 0) -> list[torch.Tensor]:
    """Return tensors of several shapes with numbers in (0, 1)."""
    shapes = [(3, 4), (7,), ()]
    return [values(*s, dtype=dtype, seed=seed + i).sigmoid() for i, s in enumerate(shapes)]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_function_of_a_list(name, dtype):
    assert_same(getattr(torch, f"_foreach_{name}"), tensors(dtype))


@pytest.mark.parametrize("name", ["exp", "sqrt", "neg", "zero", "reciprocal"])
def test_function_of_a_list_in_place(name):
    assert_same(lambda ts: (getattr(torch, f"_foreach_{name}_")(ts), ts)[1], tensors())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_function_of_two_lists(name, dtype):
    function = getattr(torch, f"_foreach_{name}")
    assert_same(function, tensors(dtype), tensors(dtype, seed=9))
    for number in NUMBERS:
        assert_same(lambda ts, n=number: function(ts, n), tensors(dtype))


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b, c: torch._foreach_add(a, b, alpha=0.5),
        lambda a, b, c: torch._foreach_sub(a, b, alpha=0.5),
        lambda a, b, c: torch._foreach_lerp(a, b, c),
        lambda a, b, c: torch._foreach_lerp(a, b, 0.3),
        lambda a, b, c: torch._foreach_addcmul(a, b, c, value=0.5),
        lambda a, b, c: torch._foreach_addcdiv(a, b, c, value=0.5),
        lambda a, b, c: torch._foreach_addcdiv(a, b, c, scalars=[0.5, 1.0, 2.0]),
        lambda a, b, c: torch._foreach_addcmul(a, b, c, scalars=[0.5, 1.0, 2.0]),
        lambda a, b, c: torch._foreach_addcdiv(a, b, c, torch.tensor([0.5, 1.0, 2.0])),
        lambda a, b, c: torch._foreach_addcmul(a, b, c, torch.tensor([0.5, 1.0, 2.0])),
        lambda a, b, c: torch._foreach_pow(2.0, a),
        lambda a, b, c: torch._foreach_norm(a),
        lambda a, b, c: torch._foreach_norm(a, 1),
        lambda a, b, c: (torch._foreach_mul_(a, b), torch._foreach_add_(a, 1.0), a)[2],
        lambda a, b, c: (torch._foreach_copy_(a, b), a)[1],
    ],
)
def test_function_of_three_lists(function):
    assert_same(function, tensors(), tensors(seed=5), tensors(seed=9))


# --- numbers in memory of the device, which torch_npu passes where CANN has no later version ------


def with_number_on_device(name, lists, number, expected):
    """Call the operator on the NPU; on the CPU, the function that it stands for."""
    if lists[0][0].device.type == "cpu":
        return expected(*lists, number)
    outs = [torch.zeros_like(t) for t in lists[0]]
    dtype = torch.int8 if isinstance(number, int) else lists[0][0].dtype
    if dtype == torch.bfloat16:  # whose number a device takes in fp32
        dtype = torch.float32
    call(f"aclnnForeach{name}", *lists, torch.tensor([number], dtype=dtype).npu(), outs)
    return outs


def three_lists(dtype: torch.dtype) -> list[list[torch.Tensor]]:
    """Return lists whose first tensors are strided, each in its own way."""
    lists = [tensors(dtype, seed) for seed in (0, 5, 9)]
    for own, kind in zip(lists, ["transposed", "every second", "offset"], strict=True):
        own[0] = strided(own[0], kind)
    return lists


ON_DEVICE = {
    **{f"{name}Scalar": (1, getattr(torch, f"_foreach_{name.lower()}"))
       for name in ("Add", "Sub", "Mul", "Div", "Pow", "Maximum", "Minimum")},
    "AddList": (2, lambda a, b, alpha: torch._foreach_add(a, b, alpha=alpha)),
    "SubList": (2, lambda a, b, alpha: torch._foreach_sub(a, b, alpha=alpha)),
    "AddcmulScalar": (3, lambda a, b, c, value: torch._foreach_addcmul(a, b, c, value=value)),
    "AddcdivScalar": (3, lambda a, b, c, value: torch._foreach_addcdiv(a, b, c, value=value)),
}  # fmt: skip
"""Operator -> how many lists it takes, and the function of torch."""


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", ON_DEVICE)
def test_function_of_lists_and_a_number_on_the_device(name, dtype):
    count, function = ON_DEVICE[name]
    lists = three_lists(dtype)[:count]
    assert_same(lambda *given: with_number_on_device(name, given, 0.625, function), *lists, scale=2)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    ("mode", "name"), [(1, "round"), (2, "floor"), (3, "ceil"), (5, "trunc"), (7, "frac")]
)
def test_rounding_by_a_mode_on_the_device(mode, name, dtype):
    function = getattr(torch, f"_foreach_{name}")
    numbers = [8 * t - 4 for t in three_lists(dtype)[0]] + [torch.tensor([-2.5, 0.5]).to(dtype)]
    assert_same(
        lambda given: with_number_on_device(
            "RoundOffNumber", [given], mode, lambda ts, _: function(ts)
        ),
        numbers,
        exact=True,
    )


def test_more_tensors_than_one_call_takes():
    many = [values(3, seed=i) for i in range(60)]
    assert_same(lambda ts: torch._foreach_mul(ts, 2.0), many)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1, foreach=True),
    "adam, one by one": lambda p: torch.optim.Adam(p, lr=0.1, foreach=False),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, foreach=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_takes_the_steps_it_takes_on_the_cpu(name):
    def run(parameters):
        for parameter in parameters:
            parameter.requires_grad_()
        optimizer = OPTIMIZERS[name](parameters)
        for _ in range(3):
            optimizer.zero_grad()
            sum((p**3).sum() for p in parameters).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        return [p.detach() for p in parameters]

    assert_same(run, [t.detach() for t in tensors()], scale=4)


def test_scaler_skips_a_step_whose_gradients_overflow():
    weight = torch.ones(3, device="npu", requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("npu", init_scale=4.0, growth_interval=2)
    seen = []
    for factor in (1.0, float("inf"), 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        seen.append((weight[0].item(), scaler.get_scale()))
    assert seen == [(0.0, 4.0), (0.0, 2.0), (-1.0, 2.0), (-2.0, 4.0)]
