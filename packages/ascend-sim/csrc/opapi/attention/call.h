// SPDX-License-Identifier: Apache-2.0
//
// What the fused attention operators have in common: parts of an AttentionCall from arguments.
#pragma once

#include <string>

#include "opapi/abi/op.h"
#include "opapi/attention/kernel.h"

namespace ascend_sim::opapi {

// Refuses an argument that is not simulated.
void RequireAbsent(const OptTensor& argument, const char* name);

// Sets queries and results from views [batch, token, head, size].
void SetQueries(AttentionCall& call, const Tensor& q, const Tensor& out);

// Sets keys and values from views [batch or block, token, head, size].
void SetKeys(AttentionCall& call, const Tensor& k, const Tensor& v);

// Sets call.band and, for the modes that read it, call.mask.
void SetSparsity(AttentionCall& call, int64_t sparse_mode, const OptTensor& mask,
                 int64_t pre_tokens, int64_t next_tokens);

// The length of sequence `index`: one for all, one each, or the whole of the tensor.
int64_t LengthOf(const OptInts& lengths, int64_t index, int64_t whole, const char* name);

// Where sequence `index` begins in a packed tensor, from cumulative lengths.
int64_t PackedBegin(const Ints& ends, int64_t index);

void CheckPackedEnds(const OptInts& ends, int64_t tokens, const char* name);

}  // namespace ascend_sim::opapi
