// SPDX-License-Identifier: Apache-2.0
//
// Which experts a token goes to.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ascend_sim::kernels::xlite {

// A bit for each token and expert, [tokens, experts], the lowest bit first, without padding.
template <class Byte>
class RoutingMap {
 public:
  RoutingMap(Byte* bytes, int64_t tokens, int64_t experts)
      : bytes_(bytes), tokens_(tokens), experts_(experts) {}

  Byte* data() const { return bytes_; }
  int64_t Bytes() const { return (tokens_ * experts_ + 7) / 8; }
  void Clear() const { std::fill_n(bytes_, Bytes(), uint8_t{0}); }
  void Set(int64_t token, int64_t expert) const {
    const auto bit = token * experts_ + expert;
    bytes_[bit / 8] |= static_cast<uint8_t>(1u << bit % 8);
  }
  bool Has(int64_t token, int64_t expert) const {
    const auto bit = token * experts_ + expert;
    return bytes_[bit / 8] >> bit % 8 & 1;
  }

 private:
  Byte* bytes_;
  int64_t tokens_, experts_;
};

}  // namespace ascend_sim::kernels::xlite
