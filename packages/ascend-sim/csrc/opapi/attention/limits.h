// SPDX-License-Identifier: Apache-2.0
//
// What the fused attention operators of a device reject, although it could be computed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>

#include "opapi/attention/infer_attention.h"
#include "opapi/attention/key_values.h"
#include "opapi/attention/layout.h"

namespace ascend_sim::opapi {

inline bool IsOneOf(int64_t value, std::initializer_list<int64_t> values) {
  return std::ranges::find(values, value) != values.end();
}

// A call of an inference operator, parsed.
struct InferShape {
  const Tensor& q;  // [batch, token, head, size], without the rope
  const KeyValues& keys;
  const KeyValues& values;
  std::optional<PageLayout> pages;
  bool packed;
};

void CheckInferLimits(const InferArguments& arguments, const InferShape& shape);

// For aclnnFlashAttentionScore and its variants; views [batch, token, head, size].
void CheckScoreLimits(const Tensor& q, const Tensor& k, const Tensor& v, const OptTensor& mask,
                      size_t packed_sequences);

}  // namespace ascend_sim::opapi
