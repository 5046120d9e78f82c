// SPDX-License-Identifier: Apache-2.0
//
// How the shapes of an operator's arguments must fit together, where its body leaves that to ATen,
// which would tell only when the kernel runs. Checked in the first phase, whatever the limits: a
// device refuses such a call there (161002) and goes on, while a failed kernel stops it.
#pragma once

#include <span>

#include "opapi/rules/limits.h"

namespace ascend_sim::opapi {

enum class Fit {
  kBroadcasts,  // `other` broadcasts to the shape of `tensor`, which is written to
  kTogether,    // `tensor` and `other` broadcast to one shape
  kProduct,     // the matrices (or vectors) `tensor` and `other` can be multiplied, to what has the
                // shape of the argument `number`, if any
  kSame,        // `tensor`, a list or with `other`, has one shape
  kSameButFor,  // the tensors of a list, or `other`, differ at most in the dimension `number`
  kLast,        // the last dimensions of `tensor` and `other` are equal
  kSuffix,      // the dimensions of `other` are the last ones of `tensor`
  kMatrix,      // `tensor` is a matrix, or a batch of them
  kDimension,   // `number` or each of a list of numbers is a dimension of `tensor`
  kHalves,      // the dimension `number` of `tensor` is even
  kIndices,     // `other` has places along `number` of `tensor`, and elsewhere no more elements
  kAsMany,      // `other` is a list of places, as many as `tensor` has along `number`
  kPlaced,      // `other` has no more elements than `tensor` in any dimension
  kAtMost,      // `other`, a number, is at most the size of the dimension `number` of `tensor`
  kSquare,      // `tensor` is a square matrix, or a batch of them
};

struct ShapeRule {
  const char* operator_name;
  Fit fit;
  int tensor, other = -1, number = -1;  // positions in the C signature
};

// Those of an operator; none for most.
std::span<const ShapeRule> FindShapeRules(const char* name);

// Throws ParamError. `limits` has the names of the arguments; may be null.
void CheckShapes(std::span<const ShapeRule> rules, const OperatorLimits* limits,
                 std::span<const LimitedArgument> arguments);

}  // namespace ascend_sim::opapi
