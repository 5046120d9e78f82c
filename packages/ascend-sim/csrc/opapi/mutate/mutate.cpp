// SPDX-License-Identifier: Apache-2.0
#include "mutate.h"

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

void Misread(Mutation::Kind kind, at::Tensor& value) {
  if (!value.defined()) return;
  if (kind == Mutation::Kind::kStride && !value.is_contiguous() && value.numel() > 0) {
    // Where the elements would lie were the view dense; as many as its memory has.
    auto flat = value.as_strided(
        {static_cast<int64_t>(value.storage().nbytes()) / value.element_size()}, {1}, 0);
    const int64_t missing = value.numel() - flat.numel();
    value = missing > 0 ? value.expand(value.sizes()).clone()
                        : flat.slice(0, 0, value.numel()).view(value.sizes());
  }
  if (kind == Mutation::Kind::kDType) {
    if (const auto other = MistakenFor(value.scalar_type())) value = value.view(*other);
  }
}

void Misread(Mutation::Kind kind, at::Scalar& value) {
  if (kind != Mutation::Kind::kValue) return;
  if (value.isBoolean()) {
    value = !value.toBool();
  } else if (value.isIntegral(false)) {
    value = value.toLong() + 1;
  } else if (value.isFloatingPoint()) {
    value = value.toDouble() * 2 + 1;
  }
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
