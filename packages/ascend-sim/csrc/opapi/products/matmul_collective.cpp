// SPDX-License-Identifier: Apache-2.0
//
// Matrix products right before or after a collective. Each rank's product is rounded to its dtype,
// as what it sends is; sums are in float32, by rank. Formulas and limits: the pages of
// aclnnMatmulAllReduce[V2], aclnnMatmulReduceScatter and aclnnAllGatherMatmul.
#include "opapi/abi/op.h"
#include "opapi/abi/rank_tensors.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {
namespace {

std::shared_ptr<RankGroup> GroupNamed(const std::string& name) {
  auto group = FindRankGroup(name);
  Require(group != nullptr, "group '", name, "' is not a communicator of one rank of this process");
  return group;
}

struct Product {
  Tensor x1, x2;
  OptTensor bias, x3;

  void Check(const Tensor& out) const {
    Require(x1.dim() >= 2 && x2.dim() == 2 && x1.size(-1) == x2.size(0),
            "x1 must have as many columns as x2 has rows, in shapes ", x1.sizes(), " and ",
            x2.sizes());
    Require(!bias || bias->sizes() == x2.sizes().slice(1), "bias must have ", x2.size(1),
            " elements");
    Limit(x2.scalar_type() == x1.scalar_type() && out.scalar_type() == x1.scalar_type(),
          "x2 and output must have x1's dtype, ", x1.scalar_type());
  }

  Tensor operator()(const Tensor& rows) const {
    auto product = at::matmul(rows.to(at::kFloat), x2.to(at::kFloat));
    if (bias) product += *bias;
    if (x3) product += *x3;
    return product.to(x1.scalar_type());
  }
};

// The sum of what every rank has for this one.
Tensor SumOf(const Tensors& parts) { return at::stack(parts).to(at::kFloat).sum(0); }

void RequireSum(const std::string& op) {
  Require(op == "sum", "reduceOp must be 'sum', got '", op, "'");
}

void RequireK(int64_t k) { Limit(k >= 256 && k < 65535, "K must be from 256 to 65534, got ", k); }

Communication PlanAllReduce(const Product& product, const std::string& name, const std::string& op,
                            Tensor& out) {
  RequireSum(op);
  product.Check(out);
  Require(!product.x3 || product.x3->sizes() == out.sizes(), "x3 must have the output's shape");
  const auto group = GroupNamed(name);
  return {[=]() mutable {
    Store(out, SumOf(Exchange(*group, Tensors(group->Ranks(), product(product.x1)))));
  }};
}

}  // namespace

ACLNN_COMMUNICATING_OP(aclnnMatmulAllReduce,
                       (const Tensor& x1, const Tensor& x2, const OptTensor& bias,
                        const std::string& group, const std::string& op, int64_t /*comm_turn*/,
                        int64_t /*stream_mode*/, Tensor& out)) {
  return PlanAllReduce({x1, x2, bias, {}}, group, op, out);
}
ACLNN_COMMUNICATING_OP(aclnnMatmulAllReduceV2,
                       (const Tensor& x1, const Tensor& x2, const OptTensor& bias, const Tensor& x3,
                        const std::string& group, const std::string& op, int64_t /*comm_turn*/,
                        int64_t /*stream_mode*/, Tensor& out)) {
  return PlanAllReduce({x1, x2, bias, x3}, group, op, out);
}
ACLNN_COMMUNICATING_OP(aclnnMatmulReduceScatter,
                       (const Tensor& x1, const Tensor& x2, const OptTensor& bias,
                        const std::string& name, const std::string& op, int64_t /*comm_turn*/,
                        int64_t /*stream_mode*/, Tensor& out)) {
  RequireSum(op);
  const Product product{x1, x2, bias, {}};
  product.Check(out);
  RequireK(x1.size(-1));
  const auto group = GroupNamed(name);
  Require(x1.dim() == 2 && x1.size(0) % group->Ranks() == 0, "x1 must have a multiple of ",
          group->Ranks(), " rows, one part for every rank");
  return {
      [=]() mutable { Store(out, SumOf(Exchange(*group, product(x1).chunk(group->Ranks())))); }};
}
ACLNN_COMMUNICATING_OP(aclnnAllGatherMatmul,
                       (const Tensor& x1, const Tensor& x2, const OptTensor& bias,
                        const std::string& name, int64_t gather_index, int64_t /*comm_turn*/,
                        int64_t /*stream_mode*/, Tensor& out, OptTensor& gathered)) {
  Require(gather_index == 0, "gatherIndex must be 0, for x1, got ", gather_index);
  const Product product{x1, x2, bias, {}};
  product.Check(out);
  RequireK(x1.size(-1));
  const auto group = GroupNamed(name);
  return {[=]() mutable {
    const auto rows = at::cat(Exchange(*group, Tensors(group->Ranks(), x1)));
    Store(out, product(rows));
    if (gathered && gathered->numel() > 0) Store(*gathered, rows);
  }};
}

}  // namespace ascend_sim::opapi
