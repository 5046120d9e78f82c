// SPDX-License-Identifier: Apache-2.0
//
// Routing of a mixture of experts by a map of tokens and experts, and its gradients. A place is a
// row among the permuted ones: the experts' tokens one after the other. With `dropAndPad` an expert
// has `capacity` places, first those of its tokens, then those of others; without, every token has
// the same number of experts.
//
// Formulas: ops-transformer, moe/moe_token_permute_with_routing_map/README.md and
// moe/moe_token_unpermute_with_routing_map/README.md. Sums are in float32 and rounded once.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {
namespace {

// Token and expert of every place.
struct Places {
  Tensor token, expert;

  int64_t size() const { return token.size(0); }
};

Places PlacesOfMap(const Tensor& routing_map) {
  const auto pairs = routing_map.t().nonzero();
  return {pairs.select(1, 1), pairs.select(1, 0)};
}

// `tokens`: of every place; each of the experts has as many places.
Places PlacesOfTokens(const Tensor& tokens, int64_t experts) {
  const auto capacity = tokens.size(0) / experts;
  return {tokens.to(at::kLong), at::arange(tokens.size(0)).div(capacity, "floor")};
}

Places FirstOf(const Places& places, int64_t count) {
  TORCH_CHECK(places.size() >= count, "routingMap has ", places.size(),
              " pairs, but numOutTokens "
              "wants ",
              count);
  return {places.token.narrow(0, 0, count), places.expert.narrow(0, 0, count)};
}

// What sortedIndices is without dropAndPad: the places in the order of their tokens.
Tensor OrderByToken(const Tensor& tokens) {
  return std::get<1>(at::sort(tokens, /*stable=*/true, /*dim=*/-1, /*descending=*/false));
}

// The token of every place, from that order.
Tensor TokensOf(const Tensor& sorted_indices, int64_t tokens) {
  const auto order = sorted_indices.to(at::kLong);
  const auto places = order.size(0),
             k = std::max<int64_t>(places / std::max<int64_t>(tokens, 1), 1);
  return at::empty({places}, at::kLong).scatter_(0, order, at::arange(places).div(k, "floor"));
}

Tensor At(const Tensor& matrix, const Places& places) {
  return matrix.index({places.token, places.expert});
}

// [tokens, experts] with the values of the places, zero elsewhere.
void StoreAt(Tensor& matrix, const Places& places, const Tensor& values) {
  Store(matrix, at::zeros(matrix.sizes(), at::kFloat)
                    .index_put_({places.token, places.expert}, values.to(at::kFloat)));
}

Tensor SumByToken(const Tensor& rows, const Tensor& token, at::IntArrayRef shape) {
  return at::zeros(shape, at::kFloat).index_add_(0, token, rows.to(at::kFloat));
}

void CheckMap(const Tensor& routing_map, int64_t tokens) {
  Require(routing_map.dim() == 2 && routing_map.size(0) == tokens && routing_map.size(1) > 0,
          "routingMap must be [tokens, experts], got ", routing_map.sizes());
}

void CheckProbs(const OptTensor& probs, const OptTensor& routing_map, bool pad) {
  if (!probs) return;
  Require(probs->dim() == 2, "probs must be [tokens, experts]");
  Require(pad || routing_map, "routingMap must be given with probs");
  Require(!routing_map || routing_map->sizes() == probs->sizes(),
          "probs must have routingMap's shape");
}

// The places of tokens on their way back: `tokens`, and the experts where probs ask for them.
Places PlacesBack(const Tensor& tokens, const OptTensor& probs, const OptTensor& routing_map,
                  bool pad) {
  if (!probs) return {tokens.to(at::kLong), {}};
  return pad ? PlacesOfTokens(tokens, probs->size(1)) : PlacesOfMap(*routing_map);
}

}  // namespace

ACLNN_PLANNED_OP(aclnnMoeTokenPermuteWithRoutingMap,
                 (const Tensor& tokens, const Tensor& routing_map, const OptTensor& probs,
                  int64_t num_out_tokens, bool drop_and_pad, Tensor& permuted_tokens,
                  OptTensor& permuted_probs, Tensor& sorted_indices)) {
  Require(tokens.dim() == 2, "tokens must be [tokens, H]");
  CheckMap(routing_map, tokens.size(0));
  CheckProbs(probs, routing_map, drop_and_pad);
  Require(!probs || permuted_probs, "permuteProbsOut must be given with probs");
  const auto capacity = num_out_tokens / routing_map.size(1);
  Require(!drop_and_pad || (capacity > 0 && capacity <= tokens.size(0)),
          "numOutTokens must give each expert 1 to ", tokens.size(0), " places, got ",
          num_out_tokens);
  return [=]() mutable {
    const auto map = routing_map.to(at::kBool);
    const auto count = permuted_tokens.size(0);
    Places places;
    if (drop_and_pad) {
      const auto by_expert = std::get<1>(
          at::sort(map.t().to(at::kByte), /*stable=*/true, /*dim=*/-1, /*descending=*/true));
      places = PlacesOfTokens(by_expert.narrow(1, 0, capacity).flatten(), map.size(1));
      Store(sorted_indices, places.token);
    } else {
      places = FirstOf(PlacesOfMap(map), count);
      Store(sorted_indices, OrderByToken(places.token));
    }
    Store(permuted_tokens, tokens.index_select(0, places.token));
    if (probs) Store(*permuted_probs, At(*probs, places));
  };
}

ACLNN_PLANNED_OP(aclnnMoeTokenPermuteWithRoutingMapGrad,
                 (const Tensor& grad, const OptTensor& probs_grad, const Tensor& sorted_indices,
                  const Tensor& routing_map, int64_t experts, int64_t tokens, bool drop_and_pad,
                  Tensor& tokens_grad, OptTensor& probs_grad_out)) {
  Require(grad.dim() == 2 && sorted_indices.dim() == 1 && grad.size(0) == sorted_indices.size(0),
          "permutedTokenOutputGrad must have one row for each of sortedIndices");
  CheckMap(routing_map, tokens);
  Require(routing_map.size(1) == experts, "routingMap must have ", experts, " columns");
  Require(!probs_grad || probs_grad_out, "probsGradOut must be given with probsGrad");
  return [=]() mutable {
    const auto places = drop_and_pad ? PlacesOfTokens(sorted_indices, experts)
                                     : FirstOf(PlacesOfMap(routing_map), grad.size(0));
    Store(tokens_grad, SumByToken(grad, places.token, tokens_grad.sizes()));
    if (probs_grad) StoreAt(*probs_grad_out, places, *probs_grad);
  };
}

// `out_index` and `permuted_token_id` are for the gradient of dropAndPad: the places in the order
// of their tokens, and these.
ACLNN_PLANNED_OP(aclnnMoeTokenUnpermuteWithRoutingMap,
                 (const Tensor& permuted_tokens, const Tensor& sorted_indices,
                  const OptTensor& routing_map, const OptTensor& probs, bool drop_and_pad,
                  const OptInts& restore_shape, Tensor& out, Tensor& out_index,
                  Tensor& permuted_token_id, OptTensor& permuted_probs)) {
  Require(permuted_tokens.dim() == 2 && sorted_indices.dim() == 1 &&
              permuted_tokens.size(0) == sorted_indices.size(0),
          "permutedTokens must have one row for each of sortedIndices");
  Require(!restore_shape || out.sizes() == at::IntArrayRef(*restore_shape),
          "unpermutedTokens must have the shape restoreShape");
  CheckProbs(probs, routing_map, drop_and_pad);
  return [=]() mutable {
    const auto tokens = drop_and_pad ? sorted_indices : TokensOf(sorted_indices, out.size(0));
    const auto places = PlacesBack(tokens, probs, routing_map, drop_and_pad);
    auto rows = permuted_tokens.to(at::kFloat);
    if (probs) {
      const auto weights = At(*probs, places);
      rows = rows * weights.unsqueeze(-1);
      if (permuted_probs) Store(*permuted_probs, weights);
    }
    Store(out, SumByToken(rows, places.token, out.sizes()));
    if (!drop_and_pad) return;
    const auto order = OrderByToken(places.token);
    Store(out_index, order);
    Store(permuted_token_id, places.token.index_select(0, order));
  };
}

ACLNN_PLANNED_OP(aclnnMoeTokenUnpermuteWithRoutingMapGrad,
                 (const Tensor& grad, const Tensor& out_index, const Tensor& permuted_token_id,
                  const OptTensor& routing_map, const OptTensor& permuted_tokens,
                  const OptTensor& probs, bool drop_and_pad, const OptInts& /*restore_shape*/,
                  Tensor& permuted_tokens_grad, OptTensor& probs_grad)) {
  Require(grad.dim() == 2 && out_index.dim() == 1 && out_index.sizes() == permuted_token_id.sizes(),
          "outIndex and permutedTokenId must have the same length");
  CheckProbs(probs, routing_map, drop_and_pad);
  Require(!probs || (permuted_tokens && probs_grad),
          "permutedTokens and probsGradOut must be given with probs");
  return [=]() mutable {
    const auto tokens = drop_and_pad ? at::empty_like(permuted_token_id)
                                           .scatter_(0, out_index.to(at::kLong), permuted_token_id)
                                     : TokensOf(out_index, grad.size(0));
    const auto places = PlacesBack(tokens, probs, routing_map, drop_and_pad);
    auto rows = grad.index_select(0, places.token).to(at::kFloat);
    if (probs) {
      StoreAt(*probs_grad, places, (rows * *permuted_tokens).sum(-1));
      rows = rows * At(*probs, places).unsqueeze(-1);
    }
    Store(permuted_tokens_grad, rows);
  };
}

}  // namespace ascend_sim::opapi
