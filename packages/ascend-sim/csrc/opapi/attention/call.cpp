// SPDX-License-Identifier: Apache-2.0
#include "opapi/attention/call.h"

#include <climits>

namespace ascend_sim::opapi {
namespace {

// The side of the triangle that sparse modes 2, 3 and 4 take.
constexpr int64_t kCompressedMask = 2048;

bool IsUnlimited(int64_t tokens) { return tokens >= INT_MAX; }

}  // namespace

void RequireAbsent(const OptTensor& argument, const char* name) {
  Require(!argument.has_value(), name, " is not supported by the simulator");
}

void SetQueries(AttentionCall& call, const Tensor& q, const Tensor& out) {
  call.q = q;
  call.out = out;
  call.q_strides = StridesOf(q);
  call.out_strides = StridesOf(out);
  call.heads = q.size(2);
  call.key_size = q.size(3);
  call.value_size = out.size(3);
}

void SetKeys(AttentionCall& call, const Tensor& k, const Tensor& v) {
  call.k = k;
  call.v = v;
  call.k_strides = StridesOf(k);
  call.v_strides = StridesOf(v);
  call.kv_heads = k.size(2);
}

void SetSparsity(AttentionCall& call, int64_t sparse_mode, const OptTensor& mask,
                 int64_t pre_tokens, int64_t next_tokens) {
  const bool compressed = sparse_mode >= 2 && sparse_mode <= 4;
  if (compressed) {
    Require(mask.has_value() && mask->dim() >= 2 && mask->size(-1) == kCompressedMask &&
                mask->size(-2) == kCompressedMask,
            "attenMask must be the (2048, 2048) triangle for sparseMode 2, 3 and 4");
  }
  switch (sparse_mode) {
    case 0:
      if (!mask.has_value()) return;  // preTokens and nextTokens are ignored too
      call.mask = *mask;
      if (!IsUnlimited(pre_tokens)) call.band.before = pre_tokens;
      if (!IsUnlimited(next_tokens)) call.band.after = next_tokens;
      return;
    case 1:
      Require(mask.has_value(), "attenMask must be given for sparseMode 1");
      call.mask = *mask;
      return;
    case 2:
      call.band = {.before = -1, .after = 0, .align_end = false};
      return;
    case 3:
      call.band = {.before = -1, .after = 0, .align_end = true};
      return;
    case 4:
      Require(pre_tokens >= 0 && next_tokens >= 0,
              "negative preTokens and nextTokens are not supported with sparseMode 4");
      call.band = {.before = IsUnlimited(pre_tokens) ? -1 : pre_tokens,
                   .after = IsUnlimited(next_tokens) ? -1 : next_tokens,
                   .align_end = true};
      return;
    default:
      throw ParamError(kParamInvalid,
                       c10::str("sparseMode ", sparse_mode, " is not supported: 0 to 4 are"));
  }
}

int64_t LengthOf(const OptInts& lengths, int64_t index, int64_t whole, const char* name) {
  if (!lengths.has_value() || lengths->empty()) return whole;
  Require(lengths->size() == 1 || index < static_cast<int64_t>(lengths->size()), name,
          " has fewer elements than there are sequences");
  const auto length = (*lengths)[lengths->size() == 1 ? 0 : index];
  Require(length >= 0, name, " has a negative element");
  return length;
}

int64_t PackedBegin(const Ints& ends, int64_t index) { return index == 0 ? 0 : ends[index - 1]; }

void CheckPackedEnds(const OptInts& ends, int64_t tokens, const char* name) {
  Require(ends.has_value() && !ends->empty(), name, " must be given in a packed layout");
  int64_t previous = 0;
  for (const auto end : *ends) {
    Require(end >= previous && end <= tokens, name, " must rise and stay within ", tokens,
            " tokens");
    previous = end;
  }
}

}  // namespace ascend_sim::opapi
