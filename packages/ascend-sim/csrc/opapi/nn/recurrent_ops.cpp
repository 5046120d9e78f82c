// SPDX-License-Identifier: Apache-2.0
//
// LSTM and GRU with their gradients (nn/rnn/*/docs). `dropout` between layers has no effect on a
// device either ("not supported in this version").
#include <array>

#include "opapi/abi/store.h"
#include "opapi/nn/recurrent.h"
#include "opapi/numerics/parts.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

Tensors OrNone(const OptTensors& tensors) { return tensors.value_or(Tensors()); }
Tensor OrUndefined(const OptTensor& tensor) { return tensor.value_or(Tensor()); }

void RequireOutput(const Stack& stack, const Sequences& sequences, const Tensor& output,
                   const char* name) {
  at::DimVector shape{sequences.time, sequences.batch, stack.directions() * stack.hidden()};
  if (stack.batch_first && !sequences.batch_sizes) std::swap(shape[0], shape[1]);
  const bool flat = sequences.batch_sizes && output.dim() == 2 &&
                    output.size(0) == shape[0] * shape[1] && output.size(1) == shape[2];
  Require(flat || output.sizes() == shape, name, " must have the shape ", at::IntArrayRef(shape),
          ", got ", output.sizes());
}

void RequireGradients(const Stack& stack, const Tensors& gradients) {
  Require(gradients.size() == stack.parameters.size(), "dparamsOut must have ",
          stack.parameters.size(), " tensors, as params has, got ", gradients.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    Require(gradients[i].sizes() == stack.parameters[i].sizes(), "dparamsOut[", i,
            "] must have the shape ", stack.parameters[i].sizes(), ", got ", gradients[i].sizes());
  }
}

// The initial states; an absent or empty list stands for zeros.
void RequireFirst(const Stack& stack, const Sequences& sequences, const Tensors& first) {
  const auto states = stack.cell.state_places().size();
  Require(first.empty() || first.size() == states, "hx must have ", states, " tensors, got ",
          first.size());
  for (const auto& state : first) RequireStates(stack, sequences, state, "hx");
}

Work PlanForward(const Stack& stack, const Sequences& sequences, const Tensors& first,
                 Tensor output, Tensors last, std::vector<Tensors> saved) {
  RequireFirst(stack, sequences, first);
  RequireOutput(stack, sequences, output, "output");
  for (const auto& state : last) RequireStates(stack, sequences, state, "hy and cy");
  RequireSteps(stack, sequences, saved);
  return [=]() mutable { RunStack(stack, sequences, first, output, last, saved); };
}

Work PlanBackward(const Stack& stack, const Sequences& sequences, const Tensors& first,
                  const std::vector<Tensors>& saved, const Tensor& grad_output,
                  const Tensors& grad_last, Tensor grad_input, Tensors grad_first,
                  Tensors grad_parameters) {
  RequireFirst(stack, sequences, first);
  RequireSteps(stack, sequences, saved);
  if (grad_output.defined()) RequireOutput(stack, sequences, grad_output, "dy");
  for (const auto& state : grad_last) {
    if (state.defined()) RequireStates(stack, sequences, state, "dh and dc");
  }
  Require(grad_input.sizes() == sequences.input.sizes(), "dxOut must have the shape of input, ",
          sequences.input.sizes(), ", got ", grad_input.sizes());
  for (const auto& state : grad_first) RequireStates(stack, sequences, state, "dhPrevOut");
  RequireGradients(stack, grad_parameters);
  return [=]() mutable {
    RunStackBackward(stack, sequences, first, saved, grad_output, grad_last, grad_input, grad_first,
                     grad_parameters);
  };
}

}  // namespace

ACLNN_PLANNED_OP(aclnnLSTM,
                 (const Tensor& input, const Tensors& parameters, const OptTensors& hx,
                  const OptTensor& batch_sizes, bool biased, int64_t layers, double /*dropout*/,
                  bool train, bool bidirectional, bool batch_first, Tensor& output, Tensor& hy,
                  Tensor& cy, OptTensors& i, OptTensors& g, OptTensors& f, OptTensors& o,
                  OptTensors& h, OptTensors& c, OptTensors& tanh_c)) {
  const Stack stack{LstmCell(), parameters, biased, bidirectional, batch_first, layers};
  const auto sequences = SequencesOf(input, batch_sizes, batch_first);
  stack.Check(input.size(-1));
  std::vector<Tensors> saved;
  if (train) {
    for (const auto* list : {&i, &g, &f, &o, &h, &c, &tanh_c}) saved.push_back(OrNone(*list));
  }
  return PlanForward(stack, sequences, OrNone(hx), output, {hy, cy}, saved);
}

// Gradients that are absent are zeros: torch_npu passes none for an output that nobody used.
ACLNN_PLANNED_OP(aclnnLstmBackward,
                 (const Tensor& input, const Tensors& hx, const Tensors& parameters,
                  const OptTensor& dy, const OptTensor& dh, const OptTensor& dc, const Tensors& i,
                  const Tensors& g, const Tensors& f, const Tensors& o, const Tensors& h,
                  const Tensors& c, const Tensors& tanh_c, const OptTensor& batch_sizes,
                  bool biased, int64_t layers, double /*dropout*/, bool /*train*/,
                  bool bidirectional, bool batch_first, const OptBools& /*output_mask: reserved*/,
                  Tensor& dx, Tensor& dh_first, Tensor& dc_first, Tensors& dparameters)) {
  const Stack stack{LstmCell(), parameters, biased, bidirectional, batch_first, layers};
  const auto sequences = SequencesOf(input, batch_sizes, batch_first);
  stack.Check(input.size(-1));
  return PlanBackward(stack, sequences, hx, {i, g, f, o, h, c, tanh_c}, OrUndefined(dy),
                      {OrUndefined(dh), OrUndefined(dc)}, dx, {dh_first, dc_first}, dparameters);
}

ACLNN_PLANNED_OP(aclnnGRU, (const Tensor& input, const Tensors& parameters, const OptTensor& hx,
                            const OptTensor& batch_sizes, bool biased, int64_t layers,
                            double /*dropout*/, bool train, bool bidirectional, bool batch_first,
                            Tensor& output, Tensor& hy, OptTensors& r, OptTensors& z, OptTensors& n,
                            OptTensors& hidden_n, OptTensors& h)) {
  Limit(!batch_sizes, "batchSizes is not supported");
  const Stack stack{GruCell(), parameters, biased, bidirectional, batch_first, layers};
  const auto sequences = SequencesOf(input, batch_sizes, batch_first);
  stack.Check(input.size(-1));
  std::vector<Tensors> saved;
  if (train) {
    for (const auto* list : {&r, &z, &n, &hidden_n, &h}) saved.push_back(OrNone(*list));
  }
  return PlanForward(stack, sequences, hx ? Tensors{*hx} : Tensors(), output, {hy}, saved);
}

ACLNN_PLANNED_OP(aclnnGRUBackward,
                 (const Tensor& input, const Tensors& parameters, const Tensor& hx,
                  const Tensor& dy, const Tensor& dh, const Tensors& r, const Tensors& z,
                  const Tensors& n, const Tensors& hidden_n, const Tensors& h,
                  const OptTensor& batch_sizes, bool biased, int64_t layers, bool bidirectional,
                  bool batch_first, Tensor& dx, Tensor& dh_first, Tensors& dparameters)) {
  Limit(!batch_sizes, "batchSizes is not supported");
  const Stack stack{GruCell(), parameters, biased, bidirectional, batch_first, layers};
  const auto sequences = SequencesOf(input, batch_sizes, batch_first);
  stack.Check(input.size(-1));
  return PlanBackward(stack, sequences, {hx}, {r, z, n, hidden_n, h}, dy, {dh}, dx, {dh_first},
                      dparameters);
}

// --- one step, after the products: torch.nn.LSTMCell --------------------------------------------

// Gates in torch's order (input, forget, candidate, output), although the page has another: callers
// pass torch's weights. `storage` keeps their values.
ACLNN_PLANNED_OP(aclnnThnnFusedLstmCell,
                 (const Tensor& input_gates, const Tensor& hidden_gates, const Tensor& cx,
                  const OptTensor& input_bias, const OptTensor& hidden_bias, Tensor& hy, Tensor& cy,
                  Tensor& storage)) {
  Require(cx.dim() == 2, "cx must be [batch, hidden], got ", cx.sizes());
  const int64_t shape[] = {cx.size(0), 4 * cx.size(1)};
  for (const auto* gates : {&input_gates, &hidden_gates, static_cast<const Tensor*>(&storage)}) {
    Require(gates->sizes() == at::IntArrayRef(shape), "gates must have the shape ",
            at::IntArrayRef(shape), ", got ", gates->sizes());
  }
  Require(input_bias.has_value() == hidden_bias.has_value(),
          "inputBias and hiddenBias must be given together");
  for (const auto* bias : {&input_bias, &hidden_bias}) {
    Require(!*bias || (*bias)->sizes() == at::IntArrayRef({shape[1]}), "a bias must have ",
            shape[1], " elements");
  }
  Require(hy.sizes() == cx.sizes() && cy.sizes() == cx.sizes(), "hy and cy must have the shape of ",
          "cx, ", cx.sizes());
  return [=]() mutable {
    auto from_input = Wide(input_gates);
    if (input_bias) from_input = from_input + *input_bias + *hidden_bias;
    const auto step = LstmCell().Step(from_input, Wide(hidden_gates), {Tensor(), Wide(cx)});
    Store(storage, at::cat({step[0], step[2], step[1], step[3]}, -1));
    Store(hy, step[4]);
    Store(cy, step[5]);
  };
}

ACLNN_PLANNED_OP(aclnnThnnFusedLstmCellBackward,
                 (const OptTensor& grad_hy, const OptTensor& grad_cy, const Tensor& cx,
                  const Tensor& cy, const Tensor& storage, bool has_bias, Tensor& grad_gates,
                  Tensor& grad_cx, OptTensor& grad_bias)) {
  const int64_t shape[] = {cx.size(0), 4 * cx.size(-1)};
  Require(cx.dim() == 2 && cy.sizes() == cx.sizes() && grad_cx.sizes() == cx.sizes(),
          "cx, cy and gradCx must have one shape [batch, hidden], got ", cx.sizes(), ", ",
          cy.sizes(), " and ", grad_cx.sizes());
  Require(storage.sizes() == at::IntArrayRef(shape) && grad_gates.sizes() == storage.sizes(),
          "storage and gradGates must have the shape ", at::IntArrayRef(shape), ", got ",
          storage.sizes(), " and ", grad_gates.sizes());
  for (const auto* grad : {&grad_hy, &grad_cy}) {
    Require(!*grad || (*grad)->sizes() == cx.sizes(), "gradients must have the shape of cx, ",
            cx.sizes());
  }
  return [=]() mutable {
    const auto gates = Parts<4>(Wide(storage), -1);
    const auto grad_of = [&](const OptTensor& grad) {
      return grad ? Wide(*grad) : at::zeros_like(Wide(cx));
    };
    const Tensors saved{gates[0], gates[2], gates[1],       gates[3],
                        Tensor(), Tensor(), Wide(cy).tanh()};
    const auto made =
        LstmCell().Backward(saved, {Tensor(), Wide(cx)}, {grad_of(grad_hy), grad_of(grad_cy)});
    Store(grad_gates, made.from_input);
    Store(grad_cx, made.state[1]);
    StoreIf(has_bias, grad_bias, made.from_input.sum(0));
  };
}

}  // namespace ascend_sim::opapi
