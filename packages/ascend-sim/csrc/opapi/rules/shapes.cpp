// SPDX-License-Identifier: Apache-2.0
#include "opapi/rules/shapes.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "opapi/base/error.h"

namespace ascend_sim::opapi {
namespace {

using enum Fit;

// Rows of one operator stand together.
constexpr ShapeRule kRules[] = {
    {"aclnnAddLayerNormGrad", kSame, 1, 0},
    {"aclnnAddLayerNormGrad", kSame, 1, 2},
    {"aclnnAddLayerNormGrad", kSame, 1, 6},
    {"aclnnAddLayerNormGrad", kSuffix, 1, 5},
    {"aclnnAddRmsNorm", kSame, 0, 1},
    {"aclnnAddRmsNorm", kSuffix, 0, 2},
    {"aclnnAddRmsNormCast", kSame, 0, 1},
    {"aclnnAddRmsNormCast", kSuffix, 0, 2},
    {"aclnnAddbmm", kBroadcasts, 5, 0},
    {"aclnnAddbmm", kProduct, 1, 2},
    {"aclnnAddmm", kBroadcasts, 5, 0},
    {"aclnnAddmm", kProduct, 1, 2, 5},
    {"aclnnAddmmWeightNz", kProduct, 1, 2, 5},
    {"aclnnAddmv", kBroadcasts, 5, 0},
    {"aclnnAddmv", kProduct, 1, 2, 5},
    {"aclnnBaddbmm", kBroadcasts, 5, 0},
    {"aclnnBaddbmm", kProduct, 1, 2, 5},
    {"aclnnBatchMatMul", kProduct, 0, 1},
    {"aclnnBatchMatMulWeightNz", kProduct, 0, 1},
    {"aclnnCat", kSameButFor, 0, -1, 1},
    {"aclnnCdist", kLast, 0, 1},
    {"aclnnCummax", kDimension, 0, -1, 1},
    {"aclnnCummin", kDimension, 0, -1, 1},
    {"aclnnCumsum", kDimension, 0, -1, 1},
    {"aclnnDot", kSame, 0, 1},
    {"aclnnFlip", kDimension, 0, -1, 1},
    {"aclnnGather", kDimension, 0, -1, 1},
    {"aclnnGather", kIndices, 0, 2, 1},
    {"aclnnGemmaRmsNorm", kSuffix, 0, 1},
    {"aclnnGlu", kDimension, 0, -1, 1},
    {"aclnnGlu", kHalves, 0, -1, 1},
    {"aclnnIndexAdd", kDimension, 0, -1, 1},
    {"aclnnIndexAdd", kSameButFor, 0, 3, 1},
    {"aclnnIndexAdd", kAsMany, 3, 2, 1},
    {"aclnnIndexAddV2", kDimension, 0, -1, 1},
    {"aclnnIndexAddV2", kSameButFor, 0, 3, 1},
    {"aclnnIndexAddV2", kAsMany, 3, 2, 1},
    {"aclnnIndexCopy", kDimension, 0, -1, 1},
    {"aclnnIndexCopy", kSameButFor, 0, 3, 1},
    {"aclnnIndexCopy", kAsMany, 3, 2, 1},
    {"aclnnIndexFill", kDimension, 0, -1, 1},
    {"aclnnIndexFillTensor", kDimension, 0, -1, 1},
    {"aclnnIndexSelect", kDimension, 0, -1, 1},
    {"aclnnInplaceAdd", kBroadcasts, 0, 1},
    {"aclnnInplaceAddRmsNorm", kSame, 0, 1},
    {"aclnnInplaceAddRmsNorm", kSuffix, 0, 2},
    {"aclnnInplaceAddcdiv", kBroadcasts, 0, 1},
    {"aclnnInplaceAddcdiv", kBroadcasts, 0, 2},
    {"aclnnInplaceAddcmul", kBroadcasts, 0, 1},
    {"aclnnInplaceAddcmul", kBroadcasts, 0, 2},
    {"aclnnInplaceAddmm", kProduct, 1, 2, 0},
    {"aclnnInplaceAtan2", kBroadcasts, 0, 1},
    {"aclnnInplaceBernoulliTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceClampMaxTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceClampMinTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceCopy", kBroadcasts, 0, 1},
    {"aclnnInplaceDiv", kBroadcasts, 0, 1},
    {"aclnnInplaceDivMod", kBroadcasts, 0, 1},
    {"aclnnInplaceEqTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceFloorDivide", kBroadcasts, 0, 1},
    {"aclnnInplaceFmodTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceGeTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceGtTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceIndexCopy", kDimension, 0, -1, 1},
    {"aclnnInplaceIndexCopy", kSameButFor, 0, 3, 1},
    {"aclnnInplaceIndexCopy", kAsMany, 3, 2, 1},
    {"aclnnInplaceIndexFill", kDimension, 0, -1, 1},
    {"aclnnInplaceIndexFillTensor", kDimension, 0, -1, 1},
    {"aclnnInplaceLeTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceLerp", kBroadcasts, 0, 1},
    {"aclnnInplaceLerp", kBroadcasts, 0, 2},
    {"aclnnInplaceLerps", kBroadcasts, 0, 1},
    {"aclnnInplaceLogicalAnd", kBroadcasts, 0, 1},
    {"aclnnInplaceLogicalOr", kBroadcasts, 0, 1},
    {"aclnnInplaceLtTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceMaskedFillScalar", kBroadcasts, 0, 1},
    {"aclnnInplaceMaskedFillTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceMaskedScatter", kBroadcasts, 0, 1},
    {"aclnnInplaceMul", kBroadcasts, 0, 1},
    {"aclnnInplaceNeTensor", kBroadcasts, 0, 1},
    {"aclnnInplacePowTensorTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceRemainderTensorTensor", kBroadcasts, 0, 1},
    {"aclnnInplaceScatter", kDimension, 0, -1, 1},
    {"aclnnInplaceScatter", kIndices, 0, 2, 1},
    {"aclnnInplaceScatter", kPlaced, 3, 2},
    {"aclnnInplaceScatterValue", kDimension, 0, -1, 1},
    {"aclnnInplaceScatterValue", kIndices, 0, 2, 1},
    {"aclnnInplaceSub", kBroadcasts, 0, 1},
    {"aclnnInverse", kSquare, 0},
    {"aclnnKlDiv", kTogether, 0, 1},
    {"aclnnKthvalue", kDimension, 0, -1, 2},
    {"aclnnKthvalue", kAtMost, 0, 1, 2},
    {"aclnnLinalgCholesky", kSquare, 0},
    {"aclnnLogSoftmax", kDimension, 0, -1, 1},
    {"aclnnMatmul", kProduct, 0, 1},
    {"aclnnMatmulWeightNz", kProduct, 0, 1},
    {"aclnnMm", kProduct, 0, 1},
    {"aclnnMv", kProduct, 0, 1},
    {"aclnnRmsNorm", kSuffix, 0, 1},
    {"aclnnRoll", kDimension, 0, -1, 2},
    {"aclnnScatter", kDimension, 0, -1, 1},
    {"aclnnScatter", kIndices, 0, 2, 1},
    {"aclnnScatter", kPlaced, 3, 2},
    {"aclnnScatterAdd", kDimension, 0, -1, 1},
    {"aclnnScatterAdd", kIndices, 0, 2, 1},
    {"aclnnScatterAdd", kPlaced, 3, 2},
    {"aclnnScatterReduce", kDimension, 0, -1, 1},
    {"aclnnScatterReduce", kIndices, 0, 2, 1},
    {"aclnnScatterReduce", kPlaced, 3, 2},
    {"aclnnScatterValue", kDimension, 0, -1, 1},
    {"aclnnScatterValue", kIndices, 0, 2, 1},
    {"aclnnSoftmax", kDimension, 0, -1, 1},
    {"aclnnSort", kDimension, 0, -1, 2},
    {"aclnnStack", kSame, 0},
    {"aclnnSwiGlu", kDimension, 0, -1, 1},
    {"aclnnSwiGlu", kHalves, 0, -1, 1},
    {"aclnnTopk", kDimension, 0, -1, 2},
    {"aclnnTopk", kAtMost, 0, 1, 2},
    {"aclnnTril", kMatrix, 0},
    {"aclnnTriu", kMatrix, 0},
};

bool Broadcasts(at::IntArrayRef from, at::IntArrayRef to) {
  if (from.size() > to.size()) return false;
  const auto shift = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] != 1 && from[i] != to[shift + i]) return false;
  }
  return true;
}

// Whether two shapes without their last `matrix` dimensions broadcast to one.
bool Together(at::IntArrayRef a, at::IntArrayRef b, size_t matrix = 0) {
  for (size_t i = matrix + 1; i <= std::min(a.size(), b.size()); ++i) {
    const auto one = a[a.size() - i], other = b[b.size() - i];
    if (one != other && one != 1 && other != 1) return false;
  }
  return true;
}

bool Multiply(at::IntArrayRef a, at::IntArrayRef b) {
  if (a.empty() || b.empty()) return false;
  return a.back() == b[b.size() == 1 ? 0 : b.size() - 2] && Together(a, b, 2);
}

// The shape of the product of what Multiply() takes, of batches of the same size.
at::DimVector ProductSizes(at::IntArrayRef a, at::IntArrayRef b) {
  at::DimVector sizes(a.begin(), a.end() - 1);
  if (b.size() > 1) sizes.push_back(b.back());
  return sizes;
}

bool IsDimension(int64_t dim, at::IntArrayRef sizes) {
  const auto rank = std::max<int64_t>(sizes.size(), 1);
  return -rank <= dim && dim < rank;
}

// A number without dimensions has one of size 1.
int64_t SizeAlong(int64_t dim, at::IntArrayRef sizes) {
  if (sizes.empty()) return 1;
  Require(IsDimension(dim, sizes), "there is no dimension ", dim, " in the shape ", sizes);
  return sizes[dim < 0 ? dim + sizes.size() : dim];
}

// Whether `inner` has no more elements than `outer` in any dimension but `along`.
bool LiesWithin(at::IntArrayRef inner, at::IntArrayRef outer, int64_t along) {
  if (inner.size() != outer.size()) {
    return std::max<size_t>(inner.size(), 1) == std::max<size_t>(outer.size(), 1);
  }
  for (size_t i = 0; i < inner.size(); ++i) {
    if (static_cast<int64_t>(i) != along && inner[i] > outer[i]) return false;
  }
  return true;
}

// Checks one rule of a call.
class Check {
 public:
  Check(const ShapeRule& rule, const OperatorLimits* limits,
        std::span<const LimitedArgument> arguments)
      : rule_(rule), limits_(limits), arguments_(arguments) {}

  void Run() const {
    const auto& tensors = arguments_[rule_.tensor].tensors;
    if (tensors.empty()) return;
    const auto sizes = tensors[0].sizes;
    switch (rule_.fit) {
      case kSame:
      case kSameButFor:
        for (const auto& tensor : tensors) Same(sizes, tensor.sizes);
        if (rule_.other >= 0) WithOther(sizes);
        break;
      case kDimension:
      case kHalves:
        ForEachNumber(sizes);
        break;
      case kAtMost:
        AtMost(sizes);
        break;
      case kSquare:
        Require(sizes.size() >= 2 && sizes.back() == sizes[sizes.size() - 2], Name(rule_.tensor),
                " must be a square matrix or a batch of them, got shape ", sizes);
        break;
      case kMatrix:
        Require(sizes.size() >= 2, Name(rule_.tensor), " must be a matrix or a batch of them, got ",
                "shape ", sizes);
        break;
      default:
        WithOther(sizes);
    }
  }

 private:
  std::string Name(int argument) const { return NameOfArgument(limits_, argument); }

  int64_t Dimension(at::IntArrayRef sizes) const {
    const auto dim = arguments_[rule_.number].number.value_or(0);
    return dim < 0 ? dim + static_cast<int64_t>(sizes.size()) : dim;
  }

  void Same(at::IntArrayRef first, at::IntArrayRef sizes) const {
    if (first == sizes) return;
    Require(rule_.fit == kSameButFor, Name(rule_.tensor), " must have tensors of one shape, got ",
            first, " and ", sizes);
    // torch.cat passes over tensors of shape [0].
    if (sizes == at::IntArrayRef({0}) || first == at::IntArrayRef({0})) return;
    const auto along = Dimension(first);
    Require(LiesWithin(first, sizes, along) && LiesWithin(sizes, first, along), Name(rule_.tensor),
            " must have tensors of one shape but for dimension ", along, ", got ", first, " and ",
            sizes);
  }

  void ForEachNumber(at::IntArrayRef sizes) const {
    const auto& argument = arguments_[rule_.number];
    if (argument.number) Number(*argument.number, sizes);
    if (argument.numbers == nullptr) return;
    for (const auto number : *argument.numbers) Number(number, sizes);
  }

  void Number(int64_t dim, at::IntArrayRef sizes) const {
    if (rule_.fit == kDimension) {
      Require(IsDimension(dim, sizes), "dim must be a dimension of ", Name(rule_.tensor),
              " of shape ", sizes, ", got ", dim);
    } else {
      Require(SizeAlong(dim, sizes) % 2 == 0, "dimension ", dim, " of ", Name(rule_.tensor),
              " must be even, got shape ", sizes);
    }
  }

  void AtMost(at::IntArrayRef sizes) const {
    const auto number = arguments_[rule_.other].number.value_or(0);
    const auto size = SizeAlong(arguments_[rule_.number].number.value_or(0), sizes);
    Require(number <= size, "k must be at most ", size, ", the size of the dimension of ",
            Name(rule_.tensor), ", got ", number);
  }

  void WithOther(at::IntArrayRef sizes) const {
    const auto& others = arguments_[rule_.other].tensors;
    if (others.empty()) return;
    const auto other = others[0].sizes;
    if (const auto [fits, how] = Fits(sizes, other); !fits) {
      Require(false, Name(rule_.other), " of shape ", other, " ", how, " ", Name(rule_.tensor),
              " of shape ", sizes);
    }
    if (rule_.fit == kProduct && rule_.number >= 0) Product(ProductSizes(sizes, other));
  }

  void Product(at::IntArrayRef expected) const {
    for (const auto& product : arguments_[rule_.number].tensors) {
      Require(product.sizes == expected, Name(rule_.number),
              " must have the shape of the product, ", expected, ", got ", product.sizes);
    }
  }

  std::pair<bool, const char*> Fits(at::IntArrayRef sizes, at::IntArrayRef other) const {
    switch (rule_.fit) {
      case kBroadcasts:
        return {Broadcasts(other, sizes), "does not broadcast to"};
      case kProduct:
        return {Multiply(sizes, other), "cannot be multiplied with"};
      case kTogether:
        return {Together(sizes, other), "does not broadcast with"};
      case kSuffix:
        return {other.size() <= sizes.size() && sizes.slice(sizes.size() - other.size()) == other,
                "does not have the last dimensions of"};
      case kLast:
        return {!sizes.empty() && !other.empty() && sizes.back() == other.back(),
                "does not have the last dimension of"};
      case kIndices:
        return {LiesWithin(other, sizes, Dimension(sizes)), "has places beyond"};
      case kPlaced:
        return {LiesWithin(other, sizes, -1), "has more elements than"};
      case kSameButFor: {
        const auto along = Dimension(sizes);
        return {LiesWithin(other, sizes, along) && LiesWithin(sizes, other, along),
                "differs in other dimensions than dim from"};
      }
      case kAsMany:
        return {other.size() <= 1 && SizeAlong(0, other) == SizeAlong(Dimension(sizes), sizes),
                "does not have one place for each slice of"};
      default:
        return {sizes == other, "does not have the shape of"};
    }
  }

  const ShapeRule& rule_;
  const OperatorLimits* limits_;
  std::span<const LimitedArgument> arguments_;
};

}  // namespace

std::span<const ShapeRule> FindShapeRules(const char* name) {
  const auto is_of = [name](const ShapeRule& rule) {
    return std::string_view(rule.operator_name) == name;
  };
  const auto first = std::ranges::find_if(kRules, is_of);
  const auto last = std::find_if_not(first, std::end(kRules), is_of);
  return {first, last};
}

void CheckShapes(std::span<const ShapeRule> rules, const OperatorLimits* limits,
                 std::span<const LimitedArgument> arguments) {
  for (const auto& rule : rules) Check(rule, limits, arguments).Run();
}

}  // namespace ascend_sim::opapi
