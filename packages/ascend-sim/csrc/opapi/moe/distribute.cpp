// SPDX-License-Identifier: Apache-2.0
//
// Experts on other ranks: dispatch sends every token to the ranks of its experts, combine brings
// the results back and adds them up. Both know the order of the rows from the tokens' experts
// alone: by expert, then as they stand in expert_ids. Formulas and limits:
// npu_moe_distribute_dispatch_v2.md, npu_moe_distribute_combine_v2.md.
#include "opapi/abi/op.h"
#include "opapi/abi/rank_tensors.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/quantize.h"
#include "opapi/numerics/rms_norm.h"

namespace ascend_sim::opapi {
namespace {

struct Experts {
  std::string group;
  int64_t ranks, rank, experts;

  int64_t PerRank() const { return experts / ranks; }
};

std::shared_ptr<RankGroup> GroupOf(const Experts& e) {
  Require(e.ranks > 0 && e.rank >= 0 && e.rank < e.ranks, "epRankId must be within epWorldSize ",
          e.ranks, ", got ", e.rank);
  Require(e.experts > 0 && e.experts % e.ranks == 0, "moeExpertNum ", e.experts,
          " must be a multiple of epWorldSize ", e.ranks);
  auto group = FindRankGroup(e.group, static_cast<uint32_t>(e.rank));
  Require(group != nullptr, "groupEp '", e.group, "' is not a communicator in which this is rank ",
          e.rank);
  Require(group->Ranks() == e.ranks, "epWorldSize is ", e.ranks, ", groupEp has ", group->Ranks(),
          " ranks");
  return group;
}

// --- which rows go where -------------------------------------------------------------------------

// Rows that this rank sends, by expert: places in expert_ids, flat, and how many each expert gets.
struct Rows {
  Tensor places, counts;

  Tensor Tokens(int64_t k) const { return places.div(k, "floor"); }
};

Rows RowsByExpert(const Tensor& expert_ids, const OptTensor& active, int64_t experts) {
  auto ids = expert_ids.to(at::kLong);
  if (active) {
    const auto mask = active->dim() == 1 ? active->unsqueeze(1) : *active;
    ids = ids.masked_fill(mask.to(at::kBool).logical_not(), experts);  // beyond the last
  }
  const auto [sorted, order] =
      at::sort(ids.reshape(-1), /*stable=*/true, /*dim=*/-1, /*descending=*/false);
  const auto counts = at::bincount(sorted, {}, experts + 1).narrow(0, 0, experts);
  return {order.narrow(0, 0, counts.sum().item<int64_t>()), counts};
}

// Parts of `rows`, which are in the order of their experts, by the rank of the expert.
Tensors ByRank(const Tensor& rows, const Tensor& counts, int64_t ranks) {
  const auto sizes = counts.view({ranks, -1}).sum(1);
  return at::split_with_sizes(rows, {sizes.const_data_ptr<int64_t>(), static_cast<size_t>(ranks)});
}

// How many rows each rank (first dimension) has for each expert of this one.
Tensor CountsFromRanks(RankGroup& group, const Tensor& counts, int64_t ranks) {
  return at::stack(Exchange(group, counts.view({ranks, -1}).unbind(0)));
}

// The order by expert, then by rank, of rows that are by rank, then by expert.
Tensor OrderByExpert(const Tensor& counts) {
  const auto experts = at::arange(counts.size(1)).repeat({counts.size(0)});
  return std::get<1>(at::sort(experts.repeat_interleave(counts.flatten()), /*stable=*/true,
                              /*dim=*/-1, /*descending=*/false));
}

void StoreHead(const Tensor& out, const Tensor& head) {
  out.narrow(0, 0, head.size(0)).copy_(head);
}

void RequireTokens(const Tensor& expert_ids, const OptTensor& active, int64_t h) {
  Require(expert_ids.dim() == 2 && expert_ids.scalar_type() == at::kInt,
          "expertIds must be an int32 matrix");
  Require(!active || active->sizes() == expert_ids.sizes() ||
              active->sizes() == expert_ids.sizes().slice(0, 1),
          "xActiveMask must be [BS] or [BS, K]");
  Require(h > 0, "H must be positive");
}

// The values of the A2 with comm_alg "fullmesh".
void CheckTokens(const Tensor& expert_ids, const OptTensor& active, const Experts& e, int64_t h) {
  RequireTokens(expert_ids, active, h);
  const auto ranks = e.ranks;
  Limit((ranks >= 2 && ranks <= 8) || (ranks <= 256 && ranks >= 16 && (ranks & (ranks - 1)) == 0),
        "epWorldSize must be 2 to 8, 16, 32, 64, 128 or 256, got ", ranks);
  Limit(e.experts <= 1024, "moeExpertNum must be at most 1024, got ", e.experts);
  Limit(expert_ids.size(0) > 0 && expert_ids.size(0) <= 256, "BS must be from 1 to 256, got ",
        expert_ids.size(0));
  Limit(expert_ids.size(1) <= 16 && expert_ids.size(1) <= e.experts, "K must be at most 16, got ",
        expert_ids.size(1));
  Limit(h <= 7168 && h % 32 == 0, "H must be a multiple of 32, at most 7168, got ", h);
}

void RequireNone(int64_t tp_ranks, int64_t shard_type, int64_t shared_ranks) {
  Require(tp_ranks <= 1, "tpWorldSize must be 0 or 1, got ", tp_ranks);
  Require(shard_type == 0 && shared_ranks == 0,
          "expertShardType and sharedExpertRankNum must be 0");
}

// --- dispatch ------------------------------------------------------------------------------------

struct Dispatch {
  Tensor x, expert_ids;
  OptTensor scales, active, expert_scales;
  Experts experts;
  int64_t quant_mode, token_nums_type;
  Tensor expand_x;
  OptTensor dynamic_scales;
  Tensor assist_info, token_nums, recv_counts;
  OptTensor expand_scales;
};

Communication PlanDispatch(const Dispatch& d) {
  const auto type = d.x.scalar_type();
  Require(d.x.dim() == 2 && d.x.size(0) == d.expert_ids.size(0), "x must be [BS, H]");
  Require(at::isFloatingType(type), "x must be a floating-point tensor, got ", type);
  Require(d.quant_mode == 0 || d.quant_mode == 2, "quantMode must be 0 or 2, got ", d.quant_mode);
  Require(d.quant_mode == 2 || !d.scales, "scales are only taken with quantMode 2");
  Require(!d.scales || (d.scales->dim() == 2 && d.scales->size(0) == d.experts.experts &&
                        d.scales->size(1) == d.x.size(1)),
          "scales must be [moeExpertNum, H]");
  Require(d.token_nums_type == 0 || d.token_nums_type == 1,
          "expertTokenNumsType must be 0 or 1, got ", d.token_nums_type);
  const auto group = GroupOf(d.experts);
  CheckTokens(d.expert_ids, d.active, d.experts, d.x.size(1));
  return {[d, group] {
    const auto k = d.expert_ids.size(1), ranks = d.experts.ranks;
    const auto rows = RowsByExpert(d.expert_ids, d.active, d.experts.experts);
    const auto counts = CountsFromRanks(*group, rows.counts, ranks);
    const auto order = OrderByExpert(counts);
    TORCH_CHECK(order.size(0) <= d.expand_x.size(0), "this rank receives ", order.size(0),
                " rows, expandX has ", d.expand_x.size(0));
    const auto send = [&](const Tensor& values, const Tensor& out) {
      StoreHead(
          out,
          at::cat(Exchange(*group, ByRank(values, rows.counts, ranks))).index_select(0, order));
    };
    auto values = d.x.index_select(0, rows.Tokens(k));
    if (d.quant_mode == 2) {
      values = values.to(at::kFloat);
      if (d.scales) values *= d.scales->repeat_interleave(rows.counts, 0);
      const auto quantized = QuantizeRows(values);
      send(quantized.scale, *d.dynamic_scales);
      values = quantized.values;
    }
    send(values, d.expand_x);
    if (d.expert_scales && d.expand_scales) {
      send(d.expert_scales->reshape(-1).index_select(0, rows.places), *d.expand_scales);
    }
    const auto by_expert = counts.sum(0);
    d.token_nums.copy_(d.token_nums_type == 0 ? by_expert.cumsum(0) : by_expert);
    StoreHead(d.recv_counts, counts.t().flatten().cumsum(0));
    // The place of every row among those of its expert.
    const auto begins = (rows.counts.cumsum(0) - rows.counts).repeat_interleave(rows.counts);
    const auto rank_in_expert = at::arange(rows.places.size(0)) - begins;
    d.assist_info.index_copy_(0, rows.places, rank_in_expert.to(at::kInt));
  }};
}

// --- combine -------------------------------------------------------------------------------------

struct Combine {
  Tensor expand_x, expert_ids, expert_scales;
  OptTensor active, shared_expert_x;
  Experts experts;
};

// `store` takes the sums of the tokens, [BS, H] in float32.
Communication PlanCombine(const Combine& c, std::function<void(const Tensor&)> store) {
  Require(c.expand_x.dim() == 2 && at::isFloatingType(c.expand_x.scalar_type()),
          "expandX must be a matrix of floating-point numbers");
  Require(c.expert_scales.sizes() == c.expert_ids.sizes(), "expertScales must be [BS, K]");
  const std::vector<int64_t> sizes{c.expert_ids.size(0), c.expand_x.size(1)};
  Require(!c.shared_expert_x || c.shared_expert_x->sizes() == at::IntArrayRef(sizes),
          "sharedExpertX must be [BS, H]");
  const auto group = GroupOf(c.experts);
  return {[c, group, sizes, store = std::move(store)] {
    const auto k = c.expert_ids.size(1), ranks = c.experts.ranks;
    const auto rows = RowsByExpert(c.expert_ids, c.active, c.experts.experts);
    const auto counts = CountsFromRanks(*group, rows.counts, ranks);
    // Back into the order by rank, then by expert, in which they came.
    const auto order = OrderByExpert(counts);
    auto by_rank = at::empty({order.size(0), c.expand_x.size(1)}, c.expand_x.options());
    by_rank.index_copy_(0, order, c.expand_x.narrow(0, 0, order.size(0)));
    const auto by_source = counts.sum(1);
    const auto parts = at::split_with_sizes(
        by_rank, {by_source.const_data_ptr<int64_t>(), static_cast<size_t>(ranks)});
    const auto results = at::cat(Exchange(*group, parts)).to(at::kFloat);
    const auto weights = c.expert_scales.reshape(-1).index_select(0, rows.places).unsqueeze(1);
    auto sum = at::zeros(sizes, at::kFloat).index_add_(0, rows.Tokens(k), results * weights);
    if (c.shared_expert_x) sum += *c.shared_expert_x;
    store(sum);
  }};
}

Communication PlanCombineInto(const Tensor& out, int64_t quant_mode, const Combine& c) {
  Require(quant_mode == 0, "commQuantMode must be 0, got ", quant_mode);
  CheckTokens(c.expert_ids, c.active, c.experts, c.expand_x.size(-1));
  return PlanCombine(c, [out](const Tensor& sum) { const_cast<Tensor&>(out).copy_(sum); });
}

}  // namespace

#define DISPATCH_OUTPUTS                                                                \
  Tensor &expand_x, OptTensor &dynamic_scales, Tensor &assist_info, Tensor &token_nums, \
      Tensor &recv_counts, Tensor & /*tp_recv_counts: reserved*/, OptTensor &expand_scales

#define PLAN_DISPATCH()                               \
  RequireNone(tp_ranks, shard_type, shared_ranks);    \
  return PlanDispatch({x,                             \
                       expert_ids,                    \
                       scales,                        \
                       active,                        \
                       expert_scales,                 \
                       {group, ranks, rank, experts}, \
                       quant_mode,                    \
                       token_nums_type,               \
                       expand_x,                      \
                       dynamic_scales,                \
                       assist_info,                   \
                       token_nums,                    \
                       recv_counts,                   \
                       expand_scales})

ACLNN_COMMUNICATING_OP(aclnnMoeDistributeDispatch,
                       (const Tensor& x, const Tensor& expert_ids, const OptTensor& scales,
                        const OptTensor& active, const OptTensor& expert_scales,
                        const std::string& group, int64_t ranks, int64_t rank, int64_t experts,
                        const std::string& /*group_tp*/, int64_t tp_ranks, int64_t /*tp_rank*/,
                        int64_t shard_type, int64_t /*shared_experts*/, int64_t shared_ranks,
                        int64_t quant_mode, int64_t /*global_bs*/, int64_t token_nums_type,
                        DISPATCH_OUTPUTS)) {
  PLAN_DISPATCH();
}
ACLNN_COMMUNICATING_OP(aclnnMoeDistributeDispatchV4,
                       (const Tensor& x, const Tensor& expert_ids, const OptTensor& scales,
                        const OptTensor& active, const OptTensor& expert_scales,
                        const OptTensor& elastic_info, const OptTensor& performance_info,
                        const std::string& group, int64_t ranks, int64_t rank, int64_t experts,
                        const std::string& /*group_tp*/, int64_t tp_ranks, int64_t /*tp_rank*/,
                        int64_t shard_type, int64_t /*shared_experts*/, int64_t shared_ranks,
                        int64_t quant_mode, int64_t /*global_bs*/, int64_t token_nums_type,
                        const std::string& /*comm_alg: speed*/, int64_t zero_experts,
                        int64_t copy_experts, int64_t const_experts, DISPATCH_OUTPUTS)) {
  Require(!elastic_info && !performance_info, "elasticInfo and performanceInfo must be absent");
  Require(zero_experts == 0 && copy_experts == 0 && const_experts == 0,
          "zero, copy and constant experts are not supported");
  PLAN_DISPATCH();
}

#define PLAN_COMBINE(shared)                                            \
  RequireNone(tp_ranks, shard_type, shared_ranks);                      \
  Require(!activation_scale && !weight_scale && !group_list,            \
          "activationScale, weightScale and groupList must be absent"); \
  return PlanCombineInto(                                               \
      out, quant_mode,                                                  \
      {expand_x, expert_ids, expert_scales, active, shared, {group, ranks, rank, experts}})

ACLNN_COMMUNICATING_OP(
    aclnnMoeDistributeCombine,
    (const Tensor& expand_x, const Tensor& expert_ids, const Tensor& /*expand_idx*/,
     const Tensor& /*ep_send_counts*/, const Tensor& expert_scales,
     const OptTensor& /*tp_send_counts: reserved*/, const OptTensor& active,
     const OptTensor& activation_scale, const OptTensor& weight_scale, const OptTensor& group_list,
     const OptTensor& /*expand_scales*/, const std::string& group, int64_t ranks, int64_t rank,
     int64_t experts, const std::string& /*group_tp*/, int64_t tp_ranks, int64_t /*tp_rank*/,
     int64_t shard_type, int64_t /*shared_experts*/, int64_t shared_ranks, int64_t /*global_bs*/,
     int64_t /*out_dtype*/, int64_t quant_mode, int64_t /*group_list_type*/, Tensor& out)) {
  PLAN_COMBINE(OptTensor());
}
ACLNN_COMMUNICATING_OP(
    aclnnMoeDistributeCombineV4,
    (const Tensor& expand_x, const Tensor& expert_ids, const Tensor& /*assist_info*/,
     const Tensor& /*ep_send_counts*/, const Tensor& expert_scales,
     const OptTensor& /*tp_send_counts: reserved*/, const OptTensor& active,
     const OptTensor& activation_scale, const OptTensor& weight_scale, const OptTensor& group_list,
     const OptTensor& /*expand_scales*/, const OptTensor& shared_expert_x,
     const OptTensor& elastic_info, const OptTensor& original_x, const OptTensor& const_alpha1,
     const OptTensor& const_alpha2, const OptTensor& const_value, const OptTensor& performance_info,
     const std::string& group, int64_t ranks, int64_t rank, int64_t experts,
     const std::string& /*group_tp*/, int64_t tp_ranks, int64_t /*tp_rank*/, int64_t shard_type,
     int64_t /*shared_experts*/, int64_t shared_ranks, int64_t /*global_bs*/, int64_t /*out_dtype*/,
     int64_t quant_mode, int64_t /*group_list_type*/, const std::string& /*comm_alg: speed*/,
     int64_t zero_experts, int64_t copy_experts, int64_t const_experts, Tensor& out)) {
  Require(!elastic_info && !performance_info, "elasticInfo and performanceInfo must be absent");
  Require(!original_x && !const_alpha1 && !const_alpha2 && !const_value && zero_experts == 0 &&
              copy_experts == 0 && const_experts == 0,
          "zero, copy and constant experts are not supported");
  PLAN_COMBINE(shared_expert_x);
}

// x = combined + residual, rounded to its dtype; y = RmsNorm(x). For the A3 only.
ACLNN_COMMUNICATING_OP(
    aclnnMoeDistributeCombineAddRmsNormV2,
    (const Tensor& expand_x, const Tensor& expert_ids, const Tensor& /*expand_idx*/,
     const Tensor& /*ep_send_counts*/, const Tensor& expert_scales, const Tensor& residual,
     const Tensor& gamma, const OptTensor& /*tp_send_counts: reserved*/, const OptTensor& active,
     const OptTensor& activation_scale, const OptTensor& weight_scale, const OptTensor& group_list,
     const OptTensor& /*expand_scales*/, const OptTensor& shared_expert_x,
     const OptTensor& elastic_info, const OptTensor& original_x, const OptTensor& const_alpha1,
     const OptTensor& const_alpha2, const OptTensor& const_value, const std::string& group,
     int64_t ranks, int64_t rank, int64_t experts, const std::string& /*group_tp*/,
     int64_t tp_ranks, int64_t /*tp_rank*/, int64_t shard_type, int64_t /*shared_experts*/,
     int64_t shared_ranks, int64_t /*global_bs*/, int64_t /*out_dtype*/, int64_t quant_mode,
     int64_t /*group_list_type*/, const std::string& /*comm_alg: speed*/, float epsilon,
     int64_t zero_experts, int64_t copy_experts, int64_t const_experts, Tensor& y, Tensor& rstd,
     Tensor& x)) {
  RequireNone(tp_ranks, shard_type, shared_ranks);
  Require(!activation_scale && !weight_scale && !group_list && !elastic_info,
          "activationScale, weightScale, groupList and elasticInfo must be absent");
  Require(!original_x && !const_alpha1 && !const_alpha2 && !const_value && zero_experts == 0 &&
              copy_experts == 0 && const_experts == 0,
          "zero, copy and constant experts are not supported");
  Require(quant_mode == 0, "commQuantMode must be 0, got ", quant_mode);
  const Experts among{group, ranks, rank, experts};
  const auto h = expand_x.size(-1);
  RequireTokens(expert_ids, active, h);
  Require(residual.sizes() == at::IntArrayRef({expert_ids.size(0), 1, h}) && gamma.numel() == h,
          "residualX must be [BS, 1, H] and gamma [H]");
  // npu_moe_distribute_combine_add_rms_norm.md
  Limit(ranks >= 2 && ranks <= 768, "epWorldSize must be from 2 to 768, got ", ranks);
  Limit(experts <= 1024, "moeExpertNum must be at most 1024, got ", experts);
  Limit(h >= 1024 && h <= 8192, "H must be from 1024 to 8192, got ", h);
  Limit(expert_ids.size(0) > 0 && expert_ids.size(0) <= 512, "BS must be from 1 to 512, got ",
        expert_ids.size(0));
  Limit(expert_ids.size(1) <= 8, "K must be at most 8, got ", expert_ids.size(1));
  return PlanCombine({expand_x, expert_ids, expert_scales, active, shared_expert_x, among},
                     [=](const Tensor& sum) mutable {
                       Store(x, sum.unsqueeze(1) + residual);
                       Store(rstd, RmsFactors(x, epsilon));
                       Store(y, RmsNorm(x, gamma, epsilon));
                     });
}

}  // namespace ascend_sim::opapi
