// SPDX-License-Identifier: Apache-2.0
//
// Dropout of the weights of attention, in training.
#pragma once

#include "opapi/abi/op.h"
#include "opapi/attention/kernel.h"

namespace ascend_sim::opapi {

struct AttentionDropout {
  double keep = 1;  // the share of the weights that stays
  // A bit for each weight (dropout.h), [heads, queries, keys] of one sequence after the other.
  OptTensor mask = {};
  // What draws them without a mask, which the operators of 950 do.
  std::optional<int64_t> seed = {};
  int64_t offset = 0;

  bool IsActive() const { return keep < 1; }
  // float [weights]: 0 where one is dropped, otherwise what it is multiplied with. Reads device
  // memory.
  Tensor Factors(int64_t weights) const;
};

// How many weights a call has, of all sequences together.
int64_t WeightsOf(const AttentionCall& call);

// [heads, queries, keys] in `factors` of the sequence whose weights begin at `first`, which moves
// on to the next one's.
Tensor FactorsOf(const Tensor& factors, const AttentionCall& call,
                 const AttentionSequence& sequence, int64_t& first);

// As Attend (kernel.h), of dense keys and values, with weights dropped after the softmax.
void AttendAndDrop(const AttentionCall& call, const AttentionDropout& dropout);

}  // namespace ascend_sim::opapi
