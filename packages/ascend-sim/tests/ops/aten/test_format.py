# SPDX-License-Identifier: Apache-2.0
"""FRACTAL_NZ is a layout of storage, not a label: blocks of 16 rows by C0 columns, padded."""

import ctypes
import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.aclnn import call
from support.oracle import run_and_wait, values

NCHW, ND, NZ = 0, 2, 29
HALVES = [torch.float16, torch.bfloat16]
# Columns of a block; 4-byte elements have those of 2-byte ones (torch_npu's rule).
C0 = {torch.float16: 16, torch.bfloat16: 16, torch.int8: 32, torch.float32: 16, torch.int32: 16}


@pytest.fixture(autouse=True)
def _internal_formats():
    torch.npu.config.allow_internal_format = True
    yield
    torch.npu.config.allow_internal_format = False


def _nz(tensor):
    return torch_npu.npu_format_cast(tensor.npu(), NZ)


def _blocks(matrix):
    """Lay a matrix out as its format says, one element after the other."""
    rows, columns = matrix.shape
    c0 = C0[matrix.dtype]
    blocks = torch.zeros(math.ceil(columns / c0), math.ceil(rows / 16), 16, c0, dtype=matrix.dtype)
    for row in range(rows):
        for column in range(columns):
            blocks[column // c0, row // 16, row % 16, column % c0] = matrix[row, column]
    return blocks


def _copy(destination, source, count, kind):
    torch.npu.synchronize()
    copy = ctypes.CDLL("libascendcl.so").aclrtMemcpy
    copy.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
    ]
    assert copy(destination, count, source, count, kind) == 0


def _storage(tensor, like):
    """Return the bytes in device memory, whatever torch_npu thinks of them."""
    result = torch.empty_like(like)
    _copy(result.data_ptr(), tensor.data_ptr(), result.nbytes, 2)
    return result


def _close(actual, expected):
    torch.testing.assert_close(actual.cpu().float(), expected.float(), rtol=1.6e-2, atol=1.6e-2)


@pytest.mark.parametrize("dtype", C0, ids=str)
@pytest.mark.parametrize("shape", [(16, 32), (1, 1), (17, 33), (40, 5), (2, 3, 20, 40)], ids=str)
def test_a_cast_there_and_back_keeps_every_element(shape, dtype):
    x = values(*shape, dtype=dtype)
    packed = _nz(x)
    assert torch_npu.get_npu_format(packed) == NZ
    assert packed.shape == x.shape
    back = torch_npu.npu_format_cast(packed, ND)
    assert torch_npu.get_npu_format(back) in (ND, NCHW)
    assert torch.equal(back.cpu(), x)
    assert torch.equal(packed.cpu(), x)


@pytest.mark.parametrize("dtype", C0, ids=str)
def test_the_storage_is_in_blocks(dtype):
    x = values(20, 40, dtype=dtype)
    expected = _blocks(x)
    packed = _nz(x)
    assert torch_npu.get_storage_size(packed) == expected.numel()
    assert torch.equal(_storage(packed, expected), expected)


def test_a_batch_of_matrices_is_in_blocks_one_after_the_other():
    x = values(3, 18, 20, dtype=torch.float16)
    expected = torch.stack([_blocks(matrix) for matrix in x])
    assert torch.equal(_storage(_nz(x), expected), expected)


def test_a_product_reads_the_blocks():
    weight = values(24, 40, dtype=torch.float16)
    blocks = _blocks(weight)
    packed = _nz(torch.zeros_like(weight))
    _copy(packed.data_ptr(), blocks.data_ptr(), blocks.nbytes, 1)
    x = values(3, 24, dtype=torch.float16, seed=1)
    _close(x.npu() @ packed, x.float() @ weight.float())


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_products_with_a_weight_in_blocks(dtype, transposed):
    x, bias = values(5, 24, dtype=dtype), values(40, dtype=dtype, seed=2)
    weight = values(40, 24, dtype=dtype, seed=1) if transposed else values(24, 40, dtype=dtype)
    packed = _nz(weight)
    if transposed:
        weight, packed = weight.t(), packed.t()
    expected = x.float() @ weight.float()
    _close(torch.mm(x.npu(), packed), expected)
    _close(torch.matmul(x.npu()[None], packed), expected[None])
    _close(torch.addmm(bias.npu(), x.npu(), packed), expected + bias.float())


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_linear_layer_with_its_weight_in_blocks(dtype):
    x, weight, bias = (
        values(2, 5, 24, dtype=dtype),
        values(40, 24, dtype=dtype, seed=1),
        values(40, dtype=dtype, seed=2),
    )
    expected = F.linear(x.float(), weight.float(), bias.float())
    _close(F.linear(x.npu(), _nz(weight), bias.npu()), expected)
    _close(torch_npu.npu_linear(x[0].npu(), _nz(weight), bias.npu()), expected[0])


def test_a_batched_product_with_weights_in_blocks():
    x, weight = values(3, 5, 24, dtype=torch.float16), values(3, 24, 20, dtype=torch.float16)
    _close(torch.bmm(x.npu(), _nz(weight)), x.float() @ weight.float())


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_batched_product_by_the_operator_of_later_devices(dtype, transposed):
    # torch_npu multiplies matrices of three dimensions by name before Ascend 950.
    x = values(3, 24, 5, dtype=dtype).mT
    weight = values(3, 20, 24, dtype=dtype) if transposed else values(3, 24, 20, dtype=dtype)
    packed, out = _nz(weight), torch.zeros(3, 5, 20, dtype=dtype).npu()
    if transposed:
        weight, packed = weight.mT, packed.mT
    call("aclnnBatchMatMulWeightNz", x.npu(), packed, out, 0)
    _close(out, x.float() @ weight.float())


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_rows_of_batches_come_together_with_the_weight_in_blocks(dtype):
    x, weight = values(5, 3, 24, dtype=dtype), values(3, 24, 20, dtype=dtype)
    actual = torch_npu.npu_transpose_batchmatmul(x.npu(), _nz(weight), perm_x1=[1, 0, 2])
    _close(actual, (x.transpose(0, 1).float() @ weight.float()).transpose(0, 1))


def test_one_matrix_of_a_batch_in_blocks_is_refused():
    x, weight = values(5, 16, dtype=torch.float16), values(3, 16, 20, dtype=torch.float16)
    with pytest.raises(RuntimeError, match="mat2 must have 4 dimensions, got 5"):
        run_and_wait(lambda: x.npu() @ _nz(weight)[1])


def test_a_captured_product_reads_the_weight_at_each_replay():
    x, weight = values(3, 16, dtype=torch.float16).npu(), values(16, 32, dtype=torch.float16)
    packed = _nz(weight)
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        out = x @ packed
    blocks = _blocks(weight * 2)
    _copy(packed.data_ptr(), blocks.data_ptr(), blocks.nbytes, 1)
    graph.replay()
    _close(out, x.cpu().float() @ (2 * weight.float()))


def test_a_part_of_a_matrix_in_blocks_is_refused():
    packed = _nz(values(32, 32, dtype=torch.float16))
    with pytest.raises(RuntimeError, match="must be of whole matrices"):
        run_and_wait(torch.mm, values(3, 16, dtype=torch.float16).npu(), packed[:16])


def test_copies_of_a_tensor_in_blocks():
    x = values(20, 40, dtype=torch.float16)
    packed = _nz(x)
    assert torch.equal(packed.clone().cpu(), x)
    assert torch.equal(packed.float().cpu(), x.float())
    target = _nz(torch.zeros_like(x))
    target.copy_(x.npu())
    assert torch.equal(_storage(target, _blocks(x)), _blocks(x))


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.t(),
        lambda t: t[:16],
        lambda t: t[16:],
        lambda t: t[:, 16:],
        lambda t: t[3],
        lambda t: t.view(2, 16, 48),
        lambda t: t.chunk(2)[1],
    ],
    ids=["transposed", "first", "last", "columns", "row", "split", "chunk"],
)
def test_a_view_of_a_tensor_in_blocks_is_read_on_the_host(view):
    x = values(32, 48, dtype=torch.float16)
    assert torch.equal(view(_nz(x)).cpu(), view(x))


def test_products_whose_left_matrix_is_in_blocks_go_by_name():
    x, y = values(18, 24, dtype=torch.float16), values(24, 20, dtype=torch.float16, seed=1)
    expected = x.float() @ y.float()
    _close(_nz(x) @ y.npu(), expected)
    _close(_nz(x) @ _nz(y), expected)
    _close((_nz(y).t() @ _nz(x).t()).t(), expected)


def test_a_float_weight_in_blocks_goes_by_name():
    # torch_npu takes the aclnn operators for 2-byte weights only.
    x, weight = values(5, 24), values(24, 40, seed=1)
    torch.testing.assert_close((x.npu() @ _nz(weight)).cpu(), x @ weight, rtol=1e-5, atol=1e-5)
