// SPDX-License-Identifier: Apache-2.0
#include "opapi/nn/recurrent.h"

#include <algorithm>
#include <numeric>

#include "opapi/abi/store.h"
#include "opapi/numerics/parts.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

// --- cells --------------------------------------------------------------------------------------

// The derivatives of sigmoid and hyperbolic tangent, from their values.
Tensor Sigmoid(const Tensor& grad, const Tensor& value) { return grad * value * (1 - value); }
Tensor Tanh(const Tensor& grad, const Tensor& value) { return grad * (1 - value * value); }

class Lstm final : public Cell {
 public:
  int64_t gates() const override { return 4; }
  std::span<const size_t> state_places() const override {
    static constexpr size_t kPlaces[] = {4, 5};
    return kPlaces;
  }

  Tensors Step(const Tensor& from_input, const Tensor& from_hidden,
               const Tensors& state) const override {
    const auto parts = Parts<4>(from_input + from_hidden, -1);
    const auto i = parts[0].sigmoid(), f = parts[1].sigmoid(), g = parts[2].tanh(),
               o = parts[3].sigmoid();
    const auto c = f * state[1] + i * g;
    const auto tanh_c = c.tanh();
    return {i, g, f, o, o * tanh_c, c, tanh_c};
  }

  Gradients Backward(const Tensors& saved, const Tensors& before,
                     const Tensors& grad) const override {
    const auto &i = saved[0], &g = saved[1], &f = saved[2], &o = saved[3], &tanh_c = saved[6];
    const auto by_c = grad[1] + Tanh(grad[0] * o, tanh_c);
    const auto by_gates = at::cat({Sigmoid(by_c * g, i), Sigmoid(by_c * before[1], f),
                                   Tanh(by_c * i, g), Sigmoid(grad[0] * tanh_c, o)},
                                  -1);
    return {by_gates, by_gates, {at::zeros_like(grad[0]), by_c * f}};
  }
};

class Gru final : public Cell {
 public:
  int64_t gates() const override { return 3; }
  std::span<const size_t> state_places() const override {
    static constexpr size_t kPlaces[] = {4};
    return kPlaces;
  }

  Tensors Step(const Tensor& from_input, const Tensor& from_hidden,
               const Tensors& state) const override {
    const auto x = Parts<3>(from_input, -1), h = Parts<3>(from_hidden, -1);
    const auto r = (x[0] + h[0]).sigmoid(), z = (x[1] + h[1]).sigmoid();
    const auto n = (x[2] + r * h[2]).tanh();
    return {r, z, n, h[2], (1 - z) * n + z * state[0]};
  }

  Gradients Backward(const Tensors& saved, const Tensors& before,
                     const Tensors& grad) const override {
    const auto &r = saved[0], &z = saved[1], &n = saved[2], &hidden_n = saved[3];
    const auto by_n = Tanh(grad[0] * (1 - z), n);
    const auto by_z = Sigmoid(grad[0] * (before[0] - n), z);
    const auto by_r = Sigmoid(by_n * hidden_n, r);
    return {at::cat({by_r, by_z, by_n}, -1), at::cat({by_r, by_z, by_n * r}, -1), {grad[0] * z}};
  }
};

// --- one layer and direction --------------------------------------------------------------------

struct Weights {
  Tensor input, hidden;
  OptTensor input_bias, hidden_bias;
};

// Index of the first parameter of a layer and direction.
int64_t Begin(const Stack& stack, int64_t place) { return place * (stack.biased ? 4 : 2); }

Weights WeightsOf(const Stack& stack, int64_t place) {
  const auto* first = stack.parameters.data() + Begin(stack, place);
  Weights weights{Wide(first[0]), Wide(first[1]), {}, {}};
  if (stack.biased) weights.input_bias = Wide(first[2]), weights.hidden_bias = Wide(first[3]);
  return weights;
}

Tensor Linear(const Tensor& x, const Tensor& weight, const OptTensor& bias) {
  const auto product = at::matmul(x, weight.t());
  return bias ? product + *bias : product;
}

// The steps of a direction, in its order.
Ints Steps(int64_t time, bool reversed) {
  Ints steps(time);
  std::iota(steps.begin(), steps.end(), 0);
  if (reversed) std::ranges::reverse(steps);
  return steps;
}

// [time, batch, 1]: whether a sequence has this step; undefined if all have every step.
Tensor Present(const Sequences& sequences) {
  if (!sequences.batch_sizes) return {};
  const auto sizes = sequences.batch_sizes->to(at::kLong).view({-1, 1, 1});
  return at::arange(sequences.batch, at::kLong).view({1, -1, 1}) < sizes;
}

// The input as [time, batch, size] in float32.
Tensor InTime(const Tensor& tensor, const Sequences& sequences, bool batch_first) {
  const auto wide = Wide(tensor);
  if (sequences.batch_sizes) return wide.reshape({sequences.time, sequences.batch, -1});
  return batch_first ? wide.transpose(0, 1) : wide;
}

// Likewise the other way round.
void StoreInTime(Tensor& out, const Tensor& value, const Sequences& sequences, bool batch_first) {
  Store(out, batch_first && !sequences.batch_sizes ? value.transpose(0, 1) : value);
}

// A layer in one direction.
class Pass {
 public:
  Pass(const Stack& stack, const Sequences& sequences, int64_t layer, int64_t direction)
      : stack_(stack),
        cell_(stack.cell),
        sequences_(sequences),
        place_(layer * stack.directions() + direction),
        weights_(WeightsOf(stack, place_)),
        present_(Present(sequences)),
        steps_(Steps(sequences.time, direction == 1)) {}

  // The outputs [time, batch, hidden] for the inputs `x`.
  Tensor Forward(const Tensor& x, const Tensors& first, Tensors& last, std::span<Tensors> saved) {
    const auto from_input = Linear(x, weights_.input, weights_.input_bias);
    auto state = FirstState(first);
    auto outputs = Zeros(stack_.hidden());
    for (const auto t : steps_) {
      auto step =
          cell_.Step(from_input[t], Linear(state[0], weights_.hidden, weights_.hidden_bias), state);
      for (size_t i = 0; i < state.size(); ++i) {
        auto& next = step[cell_.state_places()[i]];
        next = Where(t, next, state[i]);
        state[i] = next;
      }
      outputs[t].copy_(Where(t, state[0], at::zeros_like(state[0])));
      for (size_t i = 0; i < saved.size(); ++i) saved[i][place_][t].copy_(step[i]);
    }
    for (size_t i = 0; i < last.size(); ++i) last[i][place_].copy_(state[i]);
    return outputs;
  }

  // The outputs again, from what the steps saved.
  Tensor Outputs(std::span<const Tensors> saved) const {
    const auto hidden = Wide(saved[cell_.state_places()[0]][place_]);
    return present_.defined() ? at::where(present_, hidden, at::zeros_like(hidden)) : hidden;
  }

  // The gradient of the inputs.
  Tensor Backward(const Tensor& x, const Tensors& first, std::span<const Tensors> saved,
                  const Tensor& by_outputs, const Tensors& by_last, Tensors& grad_first,
                  Tensors& grad_parameters) {
    auto by_state = StatesAt(by_last);
    auto by_input = Zeros(cell_.gates() * stack_.hidden()), by_hidden = at::zeros_like(by_input);
    auto hidden = Zeros(stack_.hidden());  // before each step
    for (size_t at = steps_.size(); at-- > 0;) {
      const auto t = steps_[at];
      const auto before = at == 0 ? FirstState(first) : StateAfter(saved, steps_[at - 1]);
      auto by_step = by_state;
      by_step[0] = by_step[0] + by_outputs[t];
      const auto made = cell_.Backward(SavedAt(saved, t), before, by_step);
      by_input[t].copy_(Where(t, made.from_input, at::zeros_like(made.from_input)));
      by_hidden[t].copy_(Where(t, made.from_hidden, at::zeros_like(made.from_hidden)));
      hidden[t].copy_(before[0]);
      for (size_t i = 0; i < by_state.size(); ++i) {
        by_state[i] = Where(t, made.state[i], by_state[i]);
      }
      by_state[0] = by_state[0] + at::matmul(by_hidden[t], weights_.hidden);
    }
    for (size_t i = 0; i < grad_first.size(); ++i) grad_first[i][place_].copy_(by_state[i]);
    auto* grads = grad_parameters.data() + Begin(stack_, place_);
    Store(grads[0], at::matmul(by_input.flatten(0, 1).t(), x.flatten(0, 1)));
    Store(grads[1], at::matmul(by_hidden.flatten(0, 1).t(), hidden.flatten(0, 1)));
    if (stack_.biased) {
      Store(grads[2], by_input.sum({0, 1}));
      Store(grads[3], by_hidden.sum({0, 1}));
    }
    return at::matmul(by_input, weights_.input);
  }

 private:
  Tensor Zeros(int64_t size) const { return at::zeros({sequences_.time, sequences_.batch, size}); }

  // `value` for the sequences that have step `t`, `otherwise` for the others.
  Tensor Where(int64_t t, const Tensor& value, const Tensor& otherwise) const {
    return present_.defined() ? at::where(present_[t], value, otherwise) : value;
  }

  // An undefined tensor is zeros.
  Tensors StatesAt(const Tensors& states) const {
    Tensors here;
    for (const auto& state : states) {
      here.push_back(state.defined() ? Wide(state[place_])
                                     : at::zeros({sequences_.batch, stack_.hidden()}));
    }
    return here;
  }

  Tensors FirstState(const Tensors& first) const {
    return StatesAt(first.empty() ? Tensors(cell_.state_places().size()) : first);
  }

  Tensors SavedAt(std::span<const Tensors> saved, int64_t t) const {
    Tensors step;
    for (const auto& list : saved) step.push_back(Wide(list[place_][t]));
    return step;
  }

  Tensors StateAfter(std::span<const Tensors> saved, int64_t t) const {
    Tensors state;
    for (const auto i : cell_.state_places()) state.push_back(Wide(saved[i][place_][t]));
    return state;
  }

  const Stack& stack_;
  const Cell& cell_;
  const Sequences& sequences_;
  const int64_t place_;
  const Weights weights_;
  const Tensor present_;
  const Ints steps_;
};

}  // namespace

const Cell& LstmCell() {
  static const Lstm cell;
  return cell;
}

const Cell& GruCell() {
  static const Gru cell;
  return cell;
}

void Stack::Check(int64_t input_size) const {
  Require(layers > 0, "numLayers must be positive, got ", layers);
  const auto each = biased ? 4 : 2;
  Require(layers <= static_cast<int64_t>(parameters.size()) &&
              static_cast<int64_t>(parameters.size()) == count() * each,
          "params must have ", each, " tensors for each layer and direction, got ",
          parameters.size());
  for (const auto& parameter : parameters) Require(parameter.defined(), "params must not be null");
  Require(parameters[0].dim() == 2 && hidden() > 0, "weights must be [", cell.gates(),
          " * hidden, size], got ", parameters[0].sizes());
  const auto rows = cell.gates() * hidden();
  for (int64_t place = 0; place < count(); ++place) {
    const auto size = place < directions() ? input_size : directions() * hidden();
    const auto* first = parameters.data() + Begin(*this, place);
    const int64_t shapes[][2] = {{rows, size}, {rows, hidden()}};
    for (int i = 0; i < 2; ++i) {
      Require(first[i].sizes() == at::IntArrayRef(shapes[i]), "params[", first + i - &parameters[0],
              "] must have the shape ", at::IntArrayRef(shapes[i]), ", got ", first[i].sizes());
    }
    for (int i = 2; i < each; ++i) {
      Require(first[i].sizes() == at::IntArrayRef({rows}), "params[", first + i - &parameters[0],
              "] must have ", rows, " elements, got the shape ", first[i].sizes());
    }
  }
}

Sequences SequencesOf(const Tensor& input, const OptTensor& batch_sizes, bool batch_first) {
  if (batch_sizes && batch_sizes->numel() > 0) {
    const auto time = batch_sizes->numel();
    Require(batch_sizes->dim() == 1 && input.dim() == 2 && input.size(0) % time == 0,
            "with batchSizes the input must be [time * batch, size], got ", input.sizes(), " for ",
            batch_sizes->sizes());
    return {input, batch_sizes, time, input.size(0) / time};
  }
  Require(input.dim() == 3, "input must have 3 dimensions, got ", input.dim());
  return {input, {}, input.size(batch_first ? 1 : 0), input.size(batch_first ? 0 : 1)};
}

void RequireStates(const Stack& stack, const Sequences& sequences, const Tensor& states,
                   const char* name) {
  const int64_t shape[] = {stack.count(), sequences.batch, stack.hidden()};
  Require(states.sizes() == at::IntArrayRef(shape), name, " must have the shape ",
          at::IntArrayRef(shape), ", got ", states.sizes());
}

void RequireSteps(const Stack& stack, const Sequences& sequences, std::span<const Tensors> saved) {
  const int64_t shape[] = {sequences.time, sequences.batch, stack.hidden()};
  for (const auto& list : saved) {
    Require(static_cast<int64_t>(list.size()) == stack.count(), "lists of gates and states must ",
            "have ", stack.count(), " tensors, got ", list.size());
    for (const auto& tensor : list) {
      Require(tensor.sizes() == at::IntArrayRef(shape), "gates and states must have the shape ",
              at::IntArrayRef(shape), ", got ", tensor.sizes());
    }
  }
}

void RunStack(const Stack& stack, const Sequences& sequences, const Tensors& first, Tensor& output,
              Tensors& last, std::span<Tensors> saved) {
  if (sequences.input.numel() == 0) return;
  auto x = InTime(sequences.input, sequences, stack.batch_first);
  for (int64_t layer = 0; layer < stack.layers; ++layer) {
    Tensors outputs;
    for (int64_t direction = 0; direction < stack.directions(); ++direction) {
      outputs.push_back(Pass(stack, sequences, layer, direction).Forward(x, first, last, saved));
    }
    x = at::cat(outputs, -1);
  }
  StoreInTime(output, x, sequences, stack.batch_first);
}

void RunStackBackward(const Stack& stack, const Sequences& sequences, const Tensors& first,
                      std::span<const Tensors> saved, const Tensor& grad_output,
                      const Tensors& grad_last, Tensor& grad_input, Tensors& grad_first,
                      Tensors& grad_parameters) {
  if (sequences.input.numel() == 0) return;
  const auto width = stack.directions() * stack.hidden();
  auto grad = grad_output.defined() ? InTime(grad_output, sequences, stack.batch_first)
                                    : at::zeros({sequences.time, sequences.batch, width});
  for (int64_t layer = stack.layers - 1; layer >= 0; --layer) {
    auto x = InTime(sequences.input, sequences, stack.batch_first);
    if (layer > 0) {
      Tensors outputs;
      for (int64_t direction = 0; direction < stack.directions(); ++direction) {
        outputs.push_back(Pass(stack, sequences, layer - 1, direction).Outputs(saved));
      }
      x = at::cat(outputs, -1);
    }
    auto by_x = at::zeros_like(x);
    for (int64_t direction = 0; direction < stack.directions(); ++direction) {
      const auto by_outputs = grad.narrow(-1, direction * stack.hidden(), stack.hidden());
      by_x += Pass(stack, sequences, layer, direction)
                  .Backward(x, first, saved, by_outputs, grad_last, grad_first, grad_parameters);
    }
    grad = by_x;
  }
  StoreInTime(grad_input, grad, sequences, stack.batch_first);
}

}  // namespace ascend_sim::opapi
