# SPDX-License-Identifier: Apache-2.0
"""LSTM and GRU against torch's own on the CPU, with gradients by everything."""

import itertools

import pytest
import torch
from support.oracle import run_and_wait, values
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

# What torch_npu says once of an LSTM that it sends to an operator by name.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM fallback to acl_op:UserWarning")

TIME, BATCH, SIZE, HIDDEN = 5, 3, 4, 6
FORMS = [
    {"num_layers": layers, "bidirectional": both, "bias": bias, "batch_first": batch_first}
    for layers, both, bias, batch_first in itertools.product((1, 2), *[(False, True)] * 3)
]
_LIMIT = {torch.float32: 1e-5, torch.float16: 4e-3}
_BY_NAME = _LIMIT | {torch.bfloat16: 3e-2}


def _ids(form):
    return ", ".join(name for name, value in form.items() if value) + f" {form['num_layers']}"


def _module(kind, dtype=torch.float32, **form):
    torch.manual_seed(0)
    module = kind(SIZE, HIDDEN, **form)
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype).float()
    return module


def _states(kind, form, dtype=torch.float32):
    count = form.get("num_layers", 1) * (2 if form.get("bidirectional") else 1)
    return [
        values(count, BATCH, HIDDEN, dtype=dtype, seed=seed)
        for seed in range(1, 3 if kind is nn.LSTM else 2)
    ]


def _leaves(tensors, dtype, device):
    return [t.detach().to(device, dtype).requires_grad_() for t in tensors]


def _by_operator(kind, form, leaves):
    """Call what nn.LSTM and nn.GRU call; torch_npu sends more than one layer another way."""
    x, *rest = leaves
    states, parameters = (rest[:2], rest[2:]) if kind is nn.LSTM else (rest[0], rest[1:])
    operator = torch.ops.npu._lstm_npu if kind is nn.LSTM else torch.ops.npu._gru_npu
    result = operator(
        x, states, parameters, form["bias"], form["num_layers"], 0.0, True,
        form["bidirectional"], batch_first=form["batch_first"],
    )  # fmt: skip
    return result[: 3 if kind is nn.LSTM else 2]


def _by_module(kind, module, leaves):
    x, *states = leaves
    y, last = module(x, tuple(states) if kind is nn.LSTM else states[0])
    return (y, *last) if kind is nn.LSTM else (y, last)


def _weighted(results):
    """A number that depends on every element of the results differently."""
    return sum(
        (r * values(*r.shape, seed=7 + i).to(r.device, r.dtype)).sum()
        for i, r in enumerate(results)
    )


def _close(actual, expected, dtype):
    limit = _BY_NAME[dtype]
    for got, want in zip(actual, expected, strict=True):
        assert got.dtype == dtype
        torch.testing.assert_close(got.detach().cpu().float(), want, rtol=limit, atol=limit)


@pytest.mark.parametrize("dtype", _LIMIT, ids=str)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("form", FORMS, ids=_ids)
def test_values_and_gradients_equal_torchs(kind, form, dtype):
    module = _module(kind, dtype, **form)
    sizes = (BATCH, TIME) if form["batch_first"] else (TIME, BATCH)
    inputs = [values(*sizes, SIZE, dtype=dtype), *_states(kind, form, dtype)]
    expected_leaves = _leaves(inputs, torch.float32, "cpu")
    expected = _by_module(kind, module, expected_leaves)
    _weighted(expected).backward()
    leaves = _leaves([*inputs, *module.parameters()], dtype, "npu")
    actual = _by_operator(kind, form, leaves)
    _weighted(actual).backward()
    _close(actual, [e.detach() for e in expected], dtype)
    wanted = [leaf.grad for leaf in [*expected_leaves, *module.parameters()]]
    scale = max(want.abs().max().item() for want in wanted)
    _close([leaf.grad / scale for leaf in leaves], [want / scale for want in wanted], dtype)


@pytest.mark.parametrize("dtype", _BY_NAME, ids=str)
@pytest.mark.parametrize("form", FORMS, ids=_ids)
def test_lstms_of_every_form(form, dtype):
    """More than a layer with biases in one direction: the operators DynamicRNN, by name."""
    module = _module(nn.LSTM, dtype, **form)
    on_npu = _module(nn.LSTM, dtype, **form).npu().to(dtype)
    sizes = (BATCH, TIME) if form["batch_first"] else (TIME, BATCH)
    inputs = [values(*sizes, SIZE, dtype=dtype), *_states(nn.LSTM, form, dtype)]
    results, grads = [], []
    for model, device, kind in ((on_npu, "npu", dtype), (module, "cpu", torch.float32)):
        leaves = _leaves(inputs, kind, device)
        results.append(_by_module(nn.LSTM, model, leaves))
        _weighted(results[-1]).backward()
        grads.append([leaf.grad for leaf in [*leaves, *model.parameters()]])
    _close(results[0], [r.detach() for r in results[1]], dtype)
    scale = max(grad.abs().max().item() for grad in grads[1])
    _close([g / scale for g in grads[0]], [g / scale for g in grads[1]], dtype)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_modules_of_one_layer_begin_with_zeros(kind, training):
    module = _module(kind).train(training)
    x = values(TIME, BATCH, SIZE)
    expected, last = module(x)
    module = module.npu()
    actual, got = module(x.npu())
    _close([actual], [expected.detach()], torch.float32)
    _close(
        got if kind is nn.LSTM else [got],
        [s.detach() for s in (last if kind is nn.LSTM else [last])],
        torch.float32,
    )


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_module_learns_by_its_last_state_alone(kind):
    """No gradient reaches the outputs, nor the cell."""
    module = _module(kind)
    x = values(TIME, BATCH, SIZE)

    def loss(module, x):
        _, last = module(x)
        return (last[0] if kind is nn.LSTM else last).square().sum()

    expected = torch.autograd.grad(loss(module, x), list(module.parameters()))
    on_npu = _module(kind).npu()
    actual = torch.autograd.grad(loss(on_npu, x.npu()), list(on_npu.parameters()))
    _close(actual, expected, torch.float32)


def test_gates_are_kept_for_the_gradient():
    """Input, candidate and forget gates, output gate, state, cell and its tangent."""
    module = _module(nn.LSTM)
    x, parameters = values(1, BATCH, SIZE), [p.detach() for p in module.parameters()]
    h, c = (s[0] for s in _states(nn.LSTM, {}))
    w_ih, w_hh, b_ih, b_hh = parameters
    i, f, g, o = (x[0] @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(4, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    cell = f * c + i * g
    expected = [i, g, f, o, o * cell.tanh(), cell, cell.tanh()]
    saved = torch.ops.npu._lstm_npu(
        x.npu(), [h[None].npu(), c[None].npu()], [p.npu() for p in parameters], True, 1, 0.0, True,
        False,
    )[3:]  # fmt: skip
    _close([s[0, 0] for s in saved], expected, torch.float32)


@pytest.mark.parametrize("lengths", [[5, 4, 2], [5, 5, 5], [5, 1, 1]], ids=str)
def test_packed_sequences_of_different_lengths(lengths):
    """But for the gradient by x: torch_npu packs to padded rows, torch unpacks dense ones."""
    module, x = _module(nn.LSTM), values(TIME, BATCH, SIZE)

    def run(module, x):
        packed, (h, c) = module(pack_padded_sequence(x, lengths))
        return pad_packed_sequence(packed)[0], h, c

    expected = run(module, x)
    _weighted(expected).backward()
    on_npu = _module(nn.LSTM).npu()
    actual = run(on_npu, x.npu())
    _weighted(actual).backward()
    _close(actual, [e.detach() for e in expected], torch.float32)
    _close(
        [p.grad for p in on_npu.parameters()], [p.grad for p in module.parameters()], torch.float32
    )


@pytest.mark.parametrize("lengths", [[5, 4, 2], [5, 1, 1]], ids=str)
def test_both_directions_of_packed_sequences(lengths):
    """The way back begins at the end of each sequence."""
    form = {"num_layers": 2, "bidirectional": True, "bias": True, "batch_first": False}
    module, x, states = _module(nn.LSTM, **form), values(TIME, BATCH, SIZE), _states(nn.LSTM, form)
    leaves = _leaves([x, *states], torch.float32, "cpu")
    packed, (h, c) = module(pack_padded_sequence(leaves[0], lengths), tuple(leaves[1:]))
    expected = (pad_packed_sequence(packed)[0], h, c)
    _weighted(expected).backward()
    sizes = torch.tensor([sum(n > t for n in lengths) for t in range(TIME)])
    padded = x * (torch.arange(TIME)[:, None] < torch.tensor(lengths))[..., None]
    inputs = _leaves([padded.flatten(0, 1), *states, *module.parameters()], torch.float32, "npu")
    actual = torch.ops.npu._lstm_npu(
        inputs[0], inputs[1:3], inputs[3:], True, 2, 0.0, True, True, batch_sizes=sizes.npu()
    )[:3]
    _weighted(actual).backward()
    _close(actual, [e.detach() for e in expected], torch.float32)
    grads = [leaf.grad for leaf in inputs]
    _close([grads[0].view(TIME, BATCH, SIZE)], [leaves[0].grad], torch.float32)
    wanted = [leaf.grad for leaf in [*leaves[1:], *module.parameters()]]
    _close(grads[1:], wanted, torch.float32)


@pytest.mark.parametrize("lengths", [[5, 4, 2], [5, 1, 1]], ids=str)
def test_packed_sequences_in_a_stack_of_both_directions(lengths):
    """By name, with a mask. Not the gradient: torch_npu takes the wrong step's on the way back."""
    form = {"num_layers": 2, "bidirectional": True}
    module, x = _module(nn.LSTM, **form), values(TIME, BATCH, SIZE)
    results = []
    for model, device in ((module.npu(), "npu"), (_module(nn.LSTM, **form), "cpu")):
        packed, (h, c) = model(pack_padded_sequence(x.to(device), lengths))
        results.append((pad_packed_sequence(packed)[0], h, c))
    _close(results[0], [r.detach() for r in results[1]], torch.float32)


@pytest.mark.parametrize("dtype", _BY_NAME, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_the_cell_as_a_module(dtype, bias):
    """By name: DynamicRNNV2."""
    torch.manual_seed(0)
    cell = nn.LSTMCell(SIZE, HIDDEN, bias=bias)
    on_npu = nn.LSTMCell(SIZE, HIDDEN, bias=bias).npu().to(dtype)
    on_npu.load_state_dict(cell.state_dict())
    cell.load_state_dict(on_npu.state_dict())
    inputs = [values(BATCH, SIZE, dtype=dtype), *_states(nn.LSTM, {}, dtype)]
    results, grads = [], []
    for model, device, kind in ((on_npu, "npu", dtype), (cell, "cpu", torch.float32)):
        x, h, c = _leaves(inputs, kind, device)
        results.append(model(x, (h[0], c[0])))
        _weighted(results[-1]).backward()
        grads.append([leaf.grad / 4 for leaf in (x, h, c, *model.parameters())])
    _close(results[0], [r.detach() for r in results[1]], dtype)
    _close(grads[0], grads[1], dtype)


@pytest.mark.parametrize("dtype", _LIMIT, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_one_step_of_an_lstm_after_its_products(dtype, bias):
    torch.manual_seed(0)
    cell = nn.LSTMCell(SIZE, HIDDEN, bias=bias)
    states = [values(BATCH, HIDDEN, seed=seed) for seed in (1, 2)]
    inputs = [t.to(dtype) for t in (values(BATCH, SIZE), *states, *cell.parameters())]

    def by_cell(x, h, c, *parameters):
        return torch._VF.lstm_cell(x, (h, c), *parameters)

    def by_operator(x, h, c, w_ih, w_hh, *biases):
        return torch.ops.aten._thnn_fused_lstm_cell(x @ w_ih.T, h @ w_hh.T, c, *biases)[:2]

    def run(function, leaves):
        result = function(*leaves)
        _weighted(result).backward()
        return [r.detach() for r in result], [leaf.grad for leaf in leaves]

    expected, wanted = run(by_cell, _leaves(inputs, torch.float32, "cpu"))
    actual, grads = run(by_operator, _leaves(inputs, dtype, "npu"))
    _close(actual, expected, dtype)
    _close([g / 4 for g in grads], [w / 4 for w in wanted], dtype)


def test_the_cell_keeps_its_gates_in_the_order_of_torchs_weights():
    gates, c = values(BATCH, 4 * HIDDEN), values(BATCH, HIDDEN, seed=1)
    zeros = torch.zeros(BATCH, 4 * HIDDEN)
    h, cell, storage = torch.ops.aten._thnn_fused_lstm_cell(gates.npu(), zeros.npu(), c.npu())
    i, f, g, o = gates.chunk(4, -1)
    expected = f.sigmoid() * c + i.sigmoid() * g.tanh()
    _close([cell, h], [expected, o.sigmoid() * expected.tanh()], torch.float32)
    kept = torch.cat([i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()], -1)
    _close([storage], [kept], torch.float32)


def test_gradient_of_the_cell_by_one_of_its_results():
    shapes = [(BATCH, HIDDEN)] * 3 + [(BATCH, 4 * HIDDEN)]
    grad, c, cell, gates = (values(*s, seed=i) for i, s in enumerate(shapes))
    i, f, g, o = gates.chunk(4, -1)
    tangent = cell.tanh()
    for by_h, by_c in ((grad, None), (None, grad)):
        through = (by_h * o * (1 - tangent**2)) if by_h is not None else by_c
        out = by_h * tangent if by_h is not None else torch.zeros_like(grad)
        parts = [
            through * g * i * (1 - i),
            through * c * f * (1 - f),
            through * i * (1 - g**2),
            out * o * (1 - o),
        ]
        expected = torch.cat(parts, -1)
        actual = torch.ops.aten._thnn_fused_lstm_cell_backward_impl(
            *(None if t is None else t.npu() for t in (by_h, by_c)),
            c.npu(), cell.npu(), gates.npu(), True,
        )  # fmt: skip
        wanted = [expected, through * f, expected.sum(0)]
        scale = max(w.abs().max().item() for w in wanted)
        _close([t / scale for t in actual], [w / scale for w in wanted], torch.float32)


def _lstm(x=None, hx=None, parameters=None, layers=1, **form):
    form = {"num_layers": layers, "bias": True, "bidirectional": False} | form
    module = _module(nn.LSTM)
    return torch.ops.npu._lstm_npu(
        values(TIME, BATCH, SIZE).npu() if x is None else x,
        [s.npu() for s in _states(nn.LSTM, {})] if hx is None else hx,
        [p.detach().npu() for p in module.parameters()] if parameters is None else parameters,
        form["bias"], layers, 0.0, True, form["bidirectional"],
        batch_sizes=form.get("batch_sizes"),
    )  # fmt: skip


def _gru(**sizes):
    module = _module(nn.GRU)
    return torch.ops.npu._gru_npu(
        values(TIME * BATCH, SIZE).npu(), _states(nn.GRU, {})[0].npu(),
        [p.detach().npu() for p in module.parameters()], True, 1, 0.0, True, False, **sizes,
    )  # fmt: skip


WRONG = {
    "a parameter is missing": (
        lambda: _lstm(
            parameters=[p.detach().npu() for p in _module(nn.LSTM, bias=False).parameters()]
        ),
        "params must have 4 tensors for each layer and direction, got 2",
    ),
    "weights of another input": (
        lambda: _lstm(x=values(TIME, BATCH, SIZE + 1).npu()),
        r"params\[0\] must have the shape \[24, 5\], got \[24, 4\]",
    ),
    "one state": (
        lambda: _lstm(hx=[_states(nn.LSTM, {})[0].npu()]),
        "hx must have 2 tensors, got 1",
    ),
    "states of another batch": (
        lambda: _lstm(hx=[values(1, BATCH + 1, HIDDEN).npu()] * 2),
        r"hx must have the shape \[1, 3, 6\], got \[1, 4, 6\]",
    ),
    "bfloat16": (
        lambda: _lstm(x=values(TIME, BATCH, SIZE, dtype=torch.bfloat16).npu()),
        "input must be float16 or float32, got bfloat16",
    ),
    "two dtypes": (
        lambda: _lstm(hx=[s.half().npu() for s in _states(nn.LSTM, {})]),
        r"hx must be float32 .as input., got float16",
    ),
    "packed GRU": (
        lambda: _gru(batch_sizes=torch.full((TIME,), BATCH).npu()),
        "batchSizes is not supported",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(name):
    call, text = WRONG[name]
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(call)
