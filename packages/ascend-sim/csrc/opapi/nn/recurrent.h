// SPDX-License-Identifier: Apache-2.0
//
// Recurrent networks: a cell, and stacks of layers of it over time, in one or both directions.
#pragma once

#include <span>

#include "opapi/abi/op.h"

namespace ascend_sim::opapi {

// One step of a cell, on tensors [batch, hidden] or [batch, gates * hidden] in float32. The first
// tensor of a state is the output.
class Cell {
 public:
  virtual ~Cell() = default;
  virtual int64_t gates() const = 0;

  // What a step saves for the gradient, the new state among it.
  virtual Tensors Step(const Tensor& from_input, const Tensor& from_hidden,
                       const Tensors& state) const = 0;
  // Where the state stands in what a step saves.
  virtual std::span<const size_t> state_places() const = 0;

  struct Gradients {
    Tensor from_input, from_hidden;
    Tensors state;  // by the state before, but for the way through from_hidden
  };
  virtual Gradients Backward(const Tensors& saved, const Tensors& before,
                             const Tensors& grad) const = 0;
};

// Gates in the order input, forget, candidate, output; saves i, g, f, o, h, c, tanh(c).
ASCEND_SIM_EXPORT const Cell& LstmCell();
// Gates in the order reset, update, candidate; saves r, z, n, the hidden part of n, h.
const Cell& GruCell();

// A stack of layers. Parameters of a layer and direction are w_ih, w_hh and, with biases, b_ih and
// b_hh; directions lie within layers. Outputs of both directions lie side by side.
struct Stack {
  const Cell& cell;
  Tensors parameters;
  bool biased, bidirectional, batch_first;
  int64_t layers;

  int64_t directions() const { return bidirectional ? 2 : 1; }
  int64_t count() const { return layers * directions(); }
  int64_t hidden() const { return parameters.front().size(0) / cell.gates(); }

  // Throws ParamError unless there are the right parameters for inputs of this size.
  ASCEND_SIM_EXPORT void Check(int64_t input_size) const;
};

// The input of a call: [time, batch, size], or [batch, time, size], or, of sequences of different
// lengths, [time * batch, size] with the number of sequences of each step, longest first.
struct Sequences {
  Tensor input;
  OptTensor batch_sizes;
  int64_t time, batch;
};

Sequences SequencesOf(const Tensor& input, const OptTensor& batch_sizes, bool batch_first);

// Throw ParamError unless the shapes are those of the stack.
void RequireStates(const Stack& stack, const Sequences& sequences, const Tensor& states,
                   const char* name);
void RequireSteps(const Stack& stack, const Sequences& sequences, std::span<const Tensors> saved);

// Writes the outputs of the last layer, the last states [count, batch, hidden] and, if there are
// any, the lists of what each step saved. `first` are the states to begin with, zeros if empty.
ASCEND_SIM_EXPORT void RunStack(const Stack& stack, const Sequences& sequences,
                                const Tensors& first, Tensor& output, Tensors& last,
                                std::span<Tensors> saved);

// Gradients by the input, the first states and the parameters. A gradient that is undefined is 0.
ASCEND_SIM_EXPORT void RunStackBackward(const Stack& stack, const Sequences& sequences,
                                        const Tensors& first, std::span<const Tensors> saved,
                                        const Tensor& grad_output, const Tensors& grad_last,
                                        Tensor& grad_input, Tensors& grad_first,
                                        Tensors& grad_parameters);

}  // namespace ascend_sim::opapi
