// SPDX-License-Identifier: Apache-2.0
//
// Keeps the scores of the k best groups of experts and sets those of the others to 0.
#include "atb/operation.h"

namespace ascend_sim::atb {

using opapi::Require;

}  // namespace ascend_sim::atb

// Inputs: scores [tokens, experts], the numbers 0, 1, ... (which the device needs). In place.
ASCEND_SIM_ATB_OPERATION(GroupTopkParam, "GroupTopkOperation", 2, 1) {
  using Param = ::atb::infer::GroupTopkParam;
  arguments.Expect(2, 1);
  const auto scores = arguments.Input(0), out = arguments.Output(0);
  Require(scores.dim() == 2, "self must be [tokens, experts], not ", scores.sizes());
  const int64_t experts = scores.size(1), groups = param.groupNum, k = param.k;
  Require(groups > 0 && experts % groups == 0, "the number of experts, ", experts,
          ", must be a multiple of group_num, ", groups);
  Require(k > 0 && k <= groups, "k must be between 1 and group_num, not ", k);
  const int64_t n = param.measure == Param::kSumOfLargest ? param.n : 1;
  Require(n > 0 && n <= experts / groups, "n must be between 1 and the size of a group, not ", n);
  return [=] {
    const auto grouped = scores.view({-1, groups, experts / groups});
    const auto measure = std::get<0>(grouped.to(at::kFloat).topk(n)).sum(-1);
    const auto order = std::get<1>(measure.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/true));
    const auto worse = order.narrow(-1, k, groups - k);
    const auto dropped = at::zeros(measure.sizes(), at::kBool).scatter_(-1, worse, true);
    out.view(grouped.sizes()).copy_(grouped.masked_fill(dropped.unsqueeze(-1), 0));
  };
}
