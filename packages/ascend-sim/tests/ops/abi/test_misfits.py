# SPDX-License-Identifier: Apache-2.0
"""Arguments that do not fit together: an error that names the operator, and nothing else."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.oracle import run_and_wait


def a(*sizes: int) -> torch.Tensor:
    return torch.rand(*sizes).npu()


def places(*sizes: int) -> torch.Tensor:
    return torch.zeros(*sizes, dtype=torch.int64).npu()


WRITTEN_TO = [
    "add_", "sub_", "mul_", "div_", "floor_divide_", "remainder_", "fmod_", "pow_", "atan2_",
    "copy_", "eq_", "ne_", "lt_", "le_", "gt_", "ge_", "logical_and_", "logical_or_", "bernoulli_",
]  # fmt: skip
MISFITS = {
    "matmul": lambda: a(2, 2, 3) @ a(4, 5),
    "bmm": lambda: torch.bmm(a(2, 3, 4), a(2, 3, 4)),
    "linear": lambda: F.linear(a(2, 3), a(4, 5)),
    "mv": lambda: torch.mv(a(2, 3), a(4)),
    "dot": lambda: torch.dot(a(3), a(4)),
    "addmm": lambda: torch.addmm(a(2, 4), a(2, 3), a(4, 4)),
    "baddbmm": lambda: torch.baddbmm(a(2, 3, 6), a(2, 3, 4), a(2, 5, 6)),
    "cat": lambda: torch.cat([a(2, 3), a(2, 4)], 0),
    "stack": lambda: torch.stack([a(2), a(3)]),
    "masked_fill_": lambda: a(3).masked_fill_(a(4) > 0, 1),
    "masked_scatter_": lambda: a(3).masked_scatter_(a(4) > 0, a(4)),
    "lerp_": lambda: a(2, 1).lerp_(a(2, 6), 0.5),
    "addcmul_": lambda: a(2).addcmul_(a(3), a(3)),
    "addcdiv_": lambda: a(2).addcdiv_(a(3), a(3)),
    "gather": lambda: torch.gather(a(3, 4), 1, places(9, 2)),
    "gather, dimension": lambda: torch.gather(a(3, 4), 5, places(3, 2)),
    "scatter_": lambda: a(3, 4).scatter_(1, places(9, 2), a(9, 2)),
    "scatter_, source": lambda: a(3, 4).scatter_(1, places(3, 2), a(1, 1)),
    "scatter_add_": lambda: a(3, 4).scatter_add_(1, places(3, 9), a(3, 2)),
    "softmax": lambda: torch.softmax(a(2, 3), 4),
    "log_softmax": lambda: torch.log_softmax(a(2, 3), -3),
    "topk": lambda: torch.topk(a(3), 9),
    "topk, dimension": lambda: torch.topk(a(3), 1, 4),
    "sort": lambda: torch.sort(a(3), 4),
    "cumsum": lambda: a(3).cumsum(4),
    "kthvalue": lambda: torch.kthvalue(a(3), 9),
    "flip": lambda: a(3).flip(4),
    "roll": lambda: a(3).roll(1, 4),
    "addmv_": lambda: torch.tensor(1.0).npu().addmv_(a(5, 3), a(3)),
    "baddbmm, addend": lambda: torch.baddbmm(a(2, 3, 5), a(2, 3, 4), a(2, 4, 6)),
    "index_copy_": lambda: a(3, 4).index_copy_(0, places(2), a(3, 4)),
    "reflection_pad": lambda: F.pad(a(1, 2, 3), (3, 0), "reflect"),
    "multinomial": lambda: torch.multinomial(a(2, 3), 4),
    "multinomial, dimensions": lambda: torch.multinomial(a(1, 2, 3), 1),
    "index_fill_": lambda: a(3, 4).index_fill_(7, places(2), 1),
    "cdist": lambda: torch.cdist(a(2, 3), a(2, 4)),
    "inverse": lambda: torch.inverse(a(2, 3)),
    "cholesky": lambda: torch.linalg.cholesky(a(2, 3)),
    "triu": lambda: a(3).triu(),
    "kl_div": lambda: F.kl_div(a(2), a(3), reduction="sum"),
    "rms_norm": lambda: torch_npu.npu_rms_norm(a(2, 3), a(4)),
    "add_rms_norm": lambda: torch_npu.npu_add_rms_norm(a(2, 3), a(2, 3), a(4)),
    "add_rms_norm, addend": lambda: torch_npu.npu_add_rms_norm(a(2, 3), a(1, 3), a(3)),
    "add_rms_norm_v2": lambda: torch_npu.npu_add_rms_norm_v2(a(2, 3), a(2, 3), a(4)),
    "add_rms_norm_v2, addend": lambda: torch_npu.npu_add_rms_norm_v2(a(2, 3), a(1, 3), a(3)),
    "add_layer_norm_backward": lambda: torch_npu.npu_add_layer_norm_backward(
        a(2, 3), a(2, 3), a(2, 4), a(2, 1), a(2, 1), a(3), None
    ),
    "add_layer_norm_backward, rows": lambda: torch_npu.npu_add_layer_norm_backward(
        a(2, 3), a(2, 3), a(2, 3), a(1, 1), a(2, 1), a(3), None
    ),
    "gemma_rms_norm": lambda: torch_npu.npu_gemma_rms_norm(a(2, 3), a(4)),
    "glu": lambda: F.glu(a(3)),
    "swiglu": lambda: torch_npu.npu_swiglu(a(3)),
}
DTYPES = {
    "mul_, bool": lambda: (a(3) > 0).mul_(a(3)),
    "div_, bool": lambda: (a(3) > 0).div_(2.0),
    "sub, bools": lambda: (a(3) > 0) - (a(3) > 0),
    "mean, integers": lambda: places(3).mean(),
    "cat, complex to integers": lambda: torch.cat([a(3) * 1j], out=places(3)),
}
MISFITS |= {name: lambda name=name: getattr(a(3), name)(a(4)) for name in WRITTEN_TO}


@pytest.mark.parametrize("name", MISFITS | DTYPES)
def test_a_call_whose_arguments_do_not_fit_is_refused_before_it_runs(name):
    with pytest.raises(RuntimeError, match=r"(?s)aclnn\w+ failed: .*161002"):
        run_and_wait((MISFITS | DTYPES)[name])
    assert (a(3) + 1).cpu().min() >= 1  # the device goes on


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bmm", r"mat2 of shape \[2, 3, 4\] cannot be multiplied with self of shape \[2, 3, 4\]"),
        ("add_", r"other of shape \[4\] does not broadcast to selfRef of shape \[3\]"),
        ("softmax", r"dim must be a dimension of self of shape \[2, 3\], got 4"),
    ],
)
def test_the_text_names_the_arguments_and_what_was_expected(name, text):
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(MISFITS[name])


@pytest.mark.parametrize(
    ("operator", "program"),
    [
        ("InplaceAcosh", lambda: places(3).acosh_()),
        ("InplaceMaskedFillScalar", lambda: a(3).masked_fill_(a(3) >= 0, 1e200)),
    ],
)
def test_what_only_the_kernel_notices_is_told_at_the_next_synchronization_and_then_over(
    operator, program
):
    with pytest.raises(RuntimeError, match=rf"(?s)161002.*aclnn{operator} refused its arguments"):
        run_and_wait(program)
    torch.npu.synchronize()
    assert (a(3) + 1).cpu().min() >= 1


def test_what_a_captured_kernel_refuses_is_told_at_every_replay():
    wrong, right = places(3), torch.zeros(3).npu()
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        wrong.acosh_()
        right.add_(1)
    for _ in range(2):
        graph.replay()
        with pytest.raises(RuntimeError, match=r"(?s)161002.*aclnnInplaceAcosh"):
            torch.npu.synchronize()
    assert right.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "program",
    [
        lambda: torch.cat([a(0), a(2, 3)], 0),
        lambda: torch.softmax(torch.tensor(1.0).npu(), 0),
        lambda: a(2, 3).copy_(torch.tensor(1.0).npu()),
        lambda: a(4) @ a(2, 4, 3),
        lambda: torch.topk(torch.tensor(1.0).npu(), 1),
        lambda: torch.gather(torch.tensor(1.0).npu(), 0, places(1)),
        lambda: torch.mm(a(2, 0), a(0, 3)),
    ],
)
def test_unusual_shapes_that_fit_are_taken(program):
    run_and_wait(program)
