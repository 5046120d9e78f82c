// SPDX-License-Identifier: Apache-2.0
#include "acl_op_compiler/recurrent.h"

#include <array>
#include <optional>

#include "opapi/nn/recurrent.h"

namespace ascend_sim {
namespace {

using at::Tensor;
using opapi::Tensors;

// A layer in one direction, with its steps in the order in which they are taken. Weights are
// [4 * hidden, ...].
class Layer {
 public:
  Layer(const NamedCall& call, const Tensor& w_ih, const Tensor& w_hh, const Tensor& bias,
        const Tensor& h, const Tensor& c, const std::optional<Tensor>& mask)
      : reversed_(call.attributes.Get<std::string>("direction", "") == "REDIRECTIONAL"),
        input_(InOrder(Steps(call.inputs[0].Read()))),
        stack_{opapi::LstmCell(),     {w_ih, w_hh, bias, at::zeros_like(bias)},
               /*biased=*/true,       /*bidirectional=*/false,
               /*batch_first=*/false, /*layers=*/1},
        sequences_{input_, {}, input_.size(0), input_.size(1)},
        first_{State(h), State(c)} {
    stack_.Check(input_.size(2));
    if (mask) sequences_.batch_sizes = InOrder(*mask).select(2, 0).to(at::kLong).sum(1);
  }

  // y and, of each step: i, j, f, o, h, c, tanh(c).
  Tensors Forward() {
    Tensors last{at::empty(StateSizes()), at::empty(StateSizes())};
    std::vector<Tensors> saved(7);
    for (auto& list : saved) list.push_back(at::empty(StepSizes()));
    auto y = at::empty(StepSizes());
    opapi::RunStack(stack_, sequences_, first_, y, last, saved);
    Tensors results{InOrder(y)};
    for (const auto& list : saved) results.push_back(InOrder(list[0]));
    return results;
  }

  struct Gradients {
    Tensor x, w_ih, w_hh, bias, h, c;
  };
  // `steps`: i, j, f, o, h, c, tanh(c).
  Gradients Backward(const Tensors& steps, const Tensor& dy, const Tensor& dh, const Tensor& dc) {
    std::vector<Tensors> saved;
    for (const auto& step : steps) saved.push_back({InOrder(step.view(StepSizes()))});
    auto dx = at::empty(input_.sizes(), at::kFloat);
    Tensors first{at::empty(StateSizes()), at::empty(StateSizes())}, parameters;
    for (const auto& parameter : stack_.parameters) {
      parameters.push_back(at::empty(parameter.sizes(), at::kFloat));
    }
    opapi::RunStackBackward(stack_, sequences_, first_, saved, InOrder(dy.view(StepSizes())),
                            {State(dh), State(dc)}, dx, first, parameters);
    return {InOrder(dx), parameters[0], parameters[1], parameters[2], first[0], first[1]};
  }

 private:
  // One step may come without the dimension of time.
  static Tensor Steps(const Tensor& x) {
    TORCH_CHECK(x.dim() == 2 || x.dim() == 3, "x must be [time, batch, size], got ", x.sizes());
    return x.dim() == 2 ? x.unsqueeze(0) : x;
  }
  Tensor InOrder(const Tensor& steps) const { return reversed_ ? steps.flip(0) : steps; }
  at::DimVector StepSizes() const { return {sequences_.time, sequences_.batch, stack_.hidden()}; }
  at::DimVector StateSizes() const { return {1, sequences_.batch, stack_.hidden()}; }
  Tensor State(const Tensor& state) const { return state.reshape(StateSizes()); }

  bool reversed_;
  Tensor input_;
  opapi::Stack stack_;
  opapi::Sequences sequences_;
  Tensors first_;
};

void Write(const opapi::FormattedTensor& out, const Tensor& value) {
  out.Write(value.to(out.scalar_type()).reshape(out.sizes()));
}

void WriteSteps(const NamedCall& call, const Tensors& results) {
  // y, h, c, i, j, f, o, tanh(c) out of y, i, j, f, o, h, c, tanh(c)
  constexpr size_t kOrder[] = {0, 5, 6, 1, 2, 3, 4, 7};
  for (size_t i = 0; i < std::size(kOrder); ++i) Write(call.outputs[i], results[kOrder[i]]);
}

Tensors ReadSteps(const NamedCall& call, std::initializer_list<size_t> places) {
  Tensors steps;
  for (const auto place : places) steps.push_back(call.inputs[place].Read());
  return steps;
}

// Both weights in one, [size + hidden, 4 * hidden], each as torch has it.
std::array<Tensor, 2> Apart(const Tensor& weights) {
  const auto hidden = weights.size(1) / 4, size = weights.size(0) - hidden;
  return {weights.narrow(0, 0, size).t(), weights.narrow(0, size, hidden).t()};
}

}  // namespace

void DynamicRnn(const NamedCall& call) {
  const auto& in = call.inputs;
  const auto [w_ih, w_hh] = Apart(in[1].Read());
  const bool masked = in.size() > 5;
  const auto mask = masked ? std::optional(in[3].Read()) : std::nullopt;
  const size_t states = masked ? 4 : 3;
  WriteSteps(call,
             Layer(call, w_ih, w_hh, in[2].Read(), in[states].Read(), in[states + 1].Read(), mask)
                 .Forward());
}

void DynamicRnnV2(const NamedCall& call) {
  const auto& in = call.inputs;
  const auto w_ih = in[1].Read().t(), w_hh = in[2].Read().t();
  const bool biased = in.size() > 5;
  const auto bias = biased ? in[3].Read() : at::zeros({w_ih.size(0)});
  const size_t states = biased ? 4 : 3;
  WriteSteps(call,
             Layer(call, w_ih, w_hh, bias, in[states].Read(), in[states + 1].Read(), {}).Forward());
}

// Inputs: x, w, b, y, init_h, init_c, h, c, dy, dh, dc, i, j, f, o, tanhc, seq_length, ...; a
// seq_length that torch_npu leaves out is a number.
void DynamicRnnGrad(const NamedCall& call) {
  const auto& in = call.inputs;
  const auto [w_ih, w_hh] = Apart(in[1].Read());
  const auto lengths = in[16].Read();
  Layer layer(call, w_ih, w_hh, in[2].Read(), in[4].Read(), in[5].Read(),
              lengths.dim() == 3 ? std::optional(lengths) : std::nullopt);
  const auto grads = layer.Backward(ReadSteps(call, {11, 12, 13, 14, 6, 7, 15}), in[8].Read(),
                                    in[9].Read(), in[10].Read());
  Write(call.outputs[0], at::cat({grads.w_ih, grads.w_hh}, 1).t());
  Write(call.outputs[1], grads.bias);
  Write(call.outputs[2], grads.x);
  Write(call.outputs[3], grads.h);
  Write(call.outputs[4], grads.c);
}

// Inputs: x, w_ih, w_hh, y, init_h, init_c, h, c, dy, dh, dc, i, j, f, o, tanhc, ...
void DynamicRnnV2Grad(const NamedCall& call) {
  const auto& in = call.inputs;
  const auto w_ih = in[1].Read().t(), w_hh = in[2].Read().t();
  Layer layer(call, w_ih, w_hh, at::zeros({w_ih.size(0)}), in[4].Read(), in[5].Read(), {});
  const auto grads = layer.Backward(ReadSteps(call, {11, 12, 13, 14, 6, 7, 15}), in[8].Read(),
                                    in[9].Read(), in[10].Read());
  Write(call.outputs[0], grads.w_ih.t());
  Write(call.outputs[1], grads.w_hh.t());
  Write(call.outputs[2], grads.bias);
  Write(call.outputs[3], grads.x);
  Write(call.outputs[4], grads.h);
  Write(call.outputs[5], grads.c);
}

}  // namespace ascend_sim
