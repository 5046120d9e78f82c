// SPDX-License-Identifier: Apache-2.0
#include "opapi/mutate/mutate.h"

#include <atomic>

namespace ascend_sim::opapi {
namespace {

std::optional<Mutation> planted;  // set before the operators run
std::atomic<int64_t> mutated = 0;

// Another type of the same size, as a wrong code of a type would give.
std::optional<at::ScalarType> MistakenFor(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return at::kInt;
    case at::kInt:
      return at::kFloat;
    case at::kHalf:
      return at::kBFloat16;
    case at::kBFloat16:
      return at::kHalf;
    case at::kLong:
      return at::kDouble;
    case at::kDouble:
      return at::kLong;
    case at::kChar:
      return at::kByte;
    case at::kByte:
      return at::kChar;
    case at::kBool:
      return at::kChar;
    default:
      return std::nullopt;
  }
}

}  // namespace

const Mutation* PlantedIn(const char* op) {
  return planted && planted->op == op ? &*planted : nullptr;
}

void NoteMutated() { ++mutated; }

bool Misread(Mutation::Kind kind, at::Tensor& value) {
  if (!value.defined() || value.numel() == 0) return false;
  if (kind == Mutation::Kind::kStride && !value.is_contiguous()) {
    // Where the elements would lie were the view dense, as far as its memory goes.
    const int64_t stored = static_cast<int64_t>(value.storage().nbytes()) / value.element_size();
    value = stored < value.numel()
                ? value.contiguous()
                : value.as_strided({stored}, {1}, 0).slice(0, 0, value.numel()).view(value.sizes());
    return true;
  }
  if (kind == Mutation::Kind::kDType) {
    const auto other = MistakenFor(value.scalar_type());
    if (other) value = value.view(*other);
    return other.has_value();
  }
  return false;
}

bool Misread(Mutation::Kind kind, at::Scalar& value) {
  if (kind != Mutation::Kind::kValue || value.isComplex()) return false;
  if (value.isBoolean()) {
    value = !value.toBool();
  } else if (value.isIntegral(false)) {
    value = value.toLong() + 1;
  } else {
    value = value.toDouble() + 0.75;
  }
  return true;
}

bool Differ(const at::Tensor& one, const at::Tensor& other) { return !one.is_same(other); }

bool Differ(const at::Scalar& one, const at::Scalar& other) {
  return one.isComplex() || other.isComplex() || one.toDouble() != other.toDouble();
}

}  // namespace ascend_sim::opapi

// Plants a mistake: `kind` 0 swaps the arguments `first` and `second`, 1 drops the strides of
// `first`, 2 takes its dtype for another one, 3 changes its value.
extern "C" [[gnu::visibility("default")]] void ascendSimPlant(const char* op, int kind, int first,
                                                              int second) {
  using namespace ascend_sim::opapi;
  planted = Mutation{op, static_cast<Mutation::Kind>(kind), static_cast<size_t>(first),
                     static_cast<size_t>(second)};
}

// How many calls the planted mistake was in.
extern "C" [[gnu::visibility("default")]] int64_t ascendSimMutatedCalls() {
  return ascend_sim::opapi::mutated;
}
