// SPDX-License-Identifier: Apache-2.0
//
// LSTMs by name: what torch_npu calls for several layers or directions, without biases, in
// bfloat16, and for one step, a layer and direction at a time.
#pragma once

#include "acl_op_compiler/operators.h"

namespace ascend_sim {

// x [time, batch, size], weights [size + hidden, 4 * hidden], bias, [seq_length], h and c; gives y,
// h, c, i, j, f, o and tanh(c) of each step. `direction` REDIRECTIONAL takes the steps backwards.
// seq_length [time, batch, hidden] is 1 where a sequence, longest first, has a step.
void DynamicRnn(const NamedCall& call);

// The same with weights apart, [size, 4 * hidden] and [hidden, 4 * hidden], and perhaps no bias.
void DynamicRnnV2(const NamedCall& call);

// x, weights, bias, y, h, c, then what the forward gave, and dy, dh, dc among it: the gradients by
// the weights, the bias, x, h and c.
void DynamicRnnGrad(const NamedCall& call);
void DynamicRnnV2Grad(const NamedCall& call);

}  // namespace ascend_sim
