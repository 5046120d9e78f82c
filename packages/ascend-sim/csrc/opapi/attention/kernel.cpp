// SPDX-License-Identifier: Apache-2.0
#include "opapi/attention/kernel.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

#include "opapi/numerics/scores.h"
#include "opapi/numerics/simd.h"

namespace ascend_sim::opapi {
namespace {

constexpr float kNoScore = -std::numeric_limits<float>::infinity();

// --- which keys a query sees --------------------------------------------------------------------

struct Range {
  int64_t begin, end;
};

Range VisibleKeys(const AttentionBand& band, const AttentionSequence& sequence, int64_t query) {
  const auto own = query + (band.align_end ? sequence.kv_length - sequence.query_length : 0);
  const auto begin = band.before < 0 ? 0 : std::max<int64_t>(0, own - band.before);
  const auto end =
      band.after < 0 ? sequence.kv_length : std::min(sequence.kv_length, own + band.after + 1);
  return {std::min(begin, sequence.kv_length), std::max<int64_t>(end, 0)};
}

// The mask of one sequence as bool [queries, keys], or undefined.
at::Tensor MaskOf(const AttentionCall& call, const AttentionSequence& sequence) {
  if (!call.mask.defined()) return {};
  at::Tensor mask = call.mask;
  while (mask.dim() > 2) mask = mask.select(0, mask.size(0) == 1 ? 0 : sequence.batch);
  TORCH_CHECK(mask.size(0) >= sequence.query_length && mask.size(1) >= sequence.kv_length,
              "attenMask ", call.mask.sizes(), " is smaller than ", sequence.query_length,
              " queries x ", sequence.kv_length, " keys");
  return mask.slice(0, 0, sequence.query_length)
      .slice(1, 0, sequence.kv_length)
      .to(at::kBool)
      .contiguous();
}

// --- where keys and values are ------------------------------------------------------------------

// Calls visit(first token, tokens, row of k, row of v) for every run of evenly spaced tokens in
// [begin, end).
template <class T, class Visit>
void ForEachRun(const AttentionCall& call, const AttentionSequence& sequence, int64_t kv_head,
                Range keys, Visit&& visit) {
  const T* k = call.k.const_data_ptr<T>() + kv_head * call.k_strides.head;
  const T* v = call.v.const_data_ptr<T>() + kv_head * call.v_strides.head;
  if (!call.block_table.defined()) {
    const auto token = sequence.kv_begin + keys.begin;
    visit(keys.begin, keys.end - keys.begin,
          k + sequence.batch * call.k_strides.batch + token * call.k_strides.token,
          v + sequence.batch * call.v_strides.batch + token * call.v_strides.token);
    return;
  }
  const int32_t* table =
      call.block_table.const_data_ptr<int32_t>() + sequence.batch * call.block_table.stride(0);
  for (auto token = keys.begin; token < keys.end;) {
    const auto index = token / call.block_size, place = token % call.block_size;
    const auto run = std::min(call.block_size - place, keys.end - token);
    const int64_t block = table[index];
    TORCH_CHECK(block >= 0 && block < call.k.size(0), "blockTable[", sequence.batch, "][", index,
                "] is ", block, ", but the cache has ", call.k.size(0), " blocks");
    visit(token, run, k + block * call.k_strides.batch + place * call.k_strides.token,
          v + block * call.v_strides.batch + place * call.v_strides.token);
    token += run;
  }
}

// --- few queries: everything in place -----------------------------------------------------------

// The queries of a group of heads, one key/value head.
template <class T>
class ShortQuery {
 public:
  ShortQuery(const AttentionCall& call, const AttentionSequence& sequence, int64_t kv_head)
      : call_(call),
        sequence_(sequence),
        kv_head_(kv_head),
        group_(call.heads / call.kv_heads),
        rows_(group_ * sequence.query_length),
        keys_(AllVisible()),
        score_stride_(std::max<int64_t>(keys_.end - keys_.begin, 0)),
        queries_(rows_ * call.key_size),
        scores_(rows_ * score_stride_),
        sums_(rows_ * call.value_size, 0.0f),
        max_(rows_, kNoScore),
        total_(rows_, 0.0f) {}

  void Run(const at::Tensor& mask) {
    if (score_stride_ > 0) {
      LoadQueries();
      Score();
      Mask(mask);
      Normalize();
      Weigh();
    }
    Store();
  }

 private:
  Range AllVisible() const {
    const auto first = VisibleKeys(call_.band, sequence_, 0);
    const auto last = VisibleKeys(call_.band, sequence_, sequence_.query_length - 1);
    return {first.begin, std::max(first.begin, last.end)};
  }

  int64_t Query(int64_t row) const { return row / group_; }
  int64_t Head(int64_t row) const { return kv_head_ * group_ + row % group_; }

  void LoadQueries() {
    const T* q = call_.q.const_data_ptr<T>() + sequence_.batch * call_.q_strides.batch;
    for (int64_t row = 0; row < rows_; ++row) {
      const T* from = q + (sequence_.query_begin + Query(row)) * call_.q_strides.token +
                      Head(row) * call_.q_strides.head;
      std::copy_n(from, call_.key_size, queries_.data() + row * call_.key_size);
    }
  }

  // Rows of T as floats: in place, or converted into `buffer`, which makes them dense.
  const float* Floats(const T* rows, int64_t tokens, int64_t size, int64_t& stride) {
    if constexpr (std::is_same_v<T, float>) {
      return rows;
    } else {
      buffer_.resize(tokens * size);
      for (int64_t t = 0; t < tokens; ++t) {
        simd::AsFloats(rows + t * stride, size, buffer_.data() + t * size);
      }
      stride = size;
      return buffer_.data();
    }
  }

  void Score() {
    ForEachRun<T>(call_, sequence_, kv_head_, keys_,
                  [&](int64_t first, int64_t tokens, const T* k, const T*) {
                    int64_t stride = call_.k_strides.token;
                    const float* rows = Floats(k, tokens, call_.key_size, stride);
                    ScoreTokens(queries_.data(), rows_, rows, stride, tokens, call_.key_size,
                                static_cast<float>(call_.scale),
                                scores_.data() + (first - keys_.begin), score_stride_);
                  });
  }

  void Mask(const at::Tensor& mask) {
    for (int64_t row = 0; row < rows_; ++row) {
      float* scores = scores_.data() + row * score_stride_;
      const auto visible = VisibleKeys(call_.band, sequence_, Query(row));
      std::fill(scores, scores + (std::clamp(visible.begin, keys_.begin, keys_.end) - keys_.begin),
                kNoScore);
      std::fill(scores + (std::clamp(visible.end, keys_.begin, keys_.end) - keys_.begin),
                scores + score_stride_, kNoScore);
      if (!mask.defined()) continue;
      const bool* hidden = mask.const_data_ptr<bool>() + Query(row) * mask.size(1) + keys_.begin;
      for (int64_t t = 0; t < score_stride_; ++t) {
        if (hidden[t]) scores[t] = kNoScore;
      }
    }
  }

  void Normalize() {
    for (int64_t row = 0; row < rows_; ++row) {
      float* scores = scores_.data() + row * score_stride_;
      max_[row] = *std::max_element(scores, scores + score_stride_);
      if (max_[row] == kNoScore) {
        std::fill(scores, scores + score_stride_, 0.0f);  // sees nothing: the result is 0
        continue;
      }
      total_[row] = Exponentiate(scores, score_stride_, max_[row]);
      if (call_.sink.defined()) {
        total_[row] += std::exp(call_.sink.const_data_ptr<float>()[Head(row)] - max_[row]);
      }
    }
  }

  void Weigh() {
    ForEachRun<T>(call_, sequence_, kv_head_, keys_,
                  [&](int64_t first, int64_t tokens, const T*, const T* v) {
                    int64_t stride = call_.v_strides.token;
                    const float* rows = Floats(v, tokens, call_.value_size, stride);
                    AccumulateTokens(scores_.data() + (first - keys_.begin), score_stride_, rows_,
                                     rows, stride, tokens, call_.value_size, sums_.data());
                  });
  }

  void Store() {
    T* out = call_.out.data_ptr<T>() + sequence_.batch * call_.out_strides.batch;
    for (int64_t row = 0; row < rows_; ++row) {
      T* to = out + (sequence_.query_begin + Query(row)) * call_.out_strides.token +
              Head(row) * call_.out_strides.head;
      const float factor = total_[row] > 0 ? 1.0f / total_[row] : 0.0f;
      const float* from = sums_.data() + row * call_.value_size;
      for (int64_t i = 0; i < call_.value_size; ++i) to[i] = static_cast<T>(from[i] * factor);
      StoreStatistic(call_.log_sum_exp, row, max_[row] + std::log(total_[row]));
      StoreStatistic(call_.row_max, row, max_[row]);
    }
  }

  void StoreStatistic(const at::Tensor& statistic, int64_t row, float value) {
    if (!statistic.defined()) return;
    const auto& strides = call_.statistics_strides;
    statistic.data_ptr<float>()[sequence_.batch * strides.batch +
                                (sequence_.query_begin + Query(row)) * strides.token +
                                Head(row) * strides.head] = value;
  }

  const AttentionCall& call_;
  const AttentionSequence& sequence_;
  const int64_t kv_head_, group_, rows_;
  const Range keys_;  // the union over the rows
  const int64_t score_stride_;
  std::vector<float> queries_, scores_, sums_, max_, total_, buffer_;
};

// --- many queries: ATen's blocked kernel --------------------------------------------------------

// [heads / group, group, tokens, size] of one sequence of a q-like tensor.
at::Tensor RowsOf(const at::Tensor& tensor, const RowStrides& strides,
                  const AttentionSequence& sequence, int64_t heads, int64_t group, int64_t size) {
  return tensor.as_strided({heads / group, group, sequence.query_length, size},
                           {group * strides.head, strides.head, strides.token, 1},
                           tensor.storage_offset() + sequence.batch * strides.batch +
                               sequence.query_begin * strides.token);
}

// [kv_heads, group, keys, size], the heads of a group being one; gathered from pages if need be.
at::Tensor KeysOf(const AttentionCall& call, const AttentionSequence& sequence,
                  const at::Tensor& tensor, const RowStrides& strides, int64_t size) {
  const auto length = sequence.kv_length, group = call.heads / call.kv_heads;
  at::Tensor heads;  // [kv_heads, keys, size]
  if (call.block_table.defined()) {
    const auto used = (length + call.block_size - 1) / call.block_size;
    const auto blocks = call.block_table[sequence.batch].slice(0, 0, used).to(at::kLong);
    TORCH_CHECK(blocks.min().item().toLong() >= 0 && blocks.max().item().toLong() < tensor.size(0),
                "blockTable[", sequence.batch, "] names a block outside the cache's ",
                tensor.size(0));
    heads = tensor
                .as_strided({tensor.size(0), call.block_size, call.kv_heads, size},
                            {strides.batch, strides.token, strides.head, 1})
                .index_select(0, blocks)
                .flatten(0, 1)
                .slice(0, 0, length)
                .transpose(0, 1);
  } else {
    heads = tensor.as_strided({call.kv_heads, length, size}, {strides.head, strides.token, 1},
                              tensor.storage_offset() + sequence.batch * strides.batch +
                                  sequence.kv_begin * strides.token);
  }
  return heads.unsqueeze(1).expand({call.kv_heads, group, length, size});
}

bool IsPlainCausal(const AttentionCall& call, const AttentionSequence& sequence) {
  const auto& band = call.band;
  return !call.mask.defined() && band.before < 0 && band.after == 0 &&
         (!band.align_end || sequence.query_length == sequence.kv_length);
}

// The greatest score of each row, [kv_heads, group, queries].
at::Tensor GreatestScores(const AttentionCall& call, const at::Tensor& q, const at::Tensor& k,
                          const at::Tensor& hidden) {
  auto scores = at::matmul(q.to(at::kFloat), k.to(at::kFloat).transpose(-2, -1)).mul_(call.scale);
  if (hidden.defined()) scores.masked_fill_(hidden, kNoScore);
  return scores.amax(-1);
}

void AttendLongQuery(const AttentionCall& call, const AttentionSequence& sequence) {
  const auto group = call.heads / call.kv_heads;
  const auto q = RowsOf(call.q, call.q_strides, sequence, call.heads, group, call.key_size);
  auto out = RowsOf(call.out, call.out_strides, sequence, call.heads, group, call.value_size);
  const auto statistic = [&](const at::Tensor& rows) {
    if (!rows.defined()) return at::Tensor();
    return RowsOf(rows, call.statistics_strides, sequence, call.heads, group, 1).squeeze(-1);
  };
  const auto log_sum_exp = statistic(call.log_sum_exp), row_max = statistic(call.row_max);
  if (sequence.kv_length == 0) {
    out.zero_();
    if (log_sum_exp.defined()) log_sum_exp.fill_(kNoScore);
    if (row_max.defined()) row_max.fill_(kNoScore);
    return;
  }
  const auto k = KeysOf(call, sequence, call.k, call.k_strides, call.key_size);
  const auto v = KeysOf(call, sequence, call.v, call.v_strides, call.value_size);
  // The kernel takes one size for keys and values: the smaller is filled up with zeros.
  const auto size = std::max(call.key_size, call.value_size);
  const auto widened = [size](const at::Tensor& rows) {
    return rows.size(-1) == size ? rows : at::constant_pad_nd(rows, {0, size - rows.size(-1)});
  };
  const bool causal = IsPlainCausal(call, sequence);
  const auto hidden = causal ? at::Tensor() : HiddenPairs(call, sequence);
  std::optional<at::Tensor> addend;  // what the kernel adds to scores, float
  if (hidden.defined()) {
    addend = at::zeros(hidden.sizes(), at::kFloat)
                 .masked_fill_(hidden, kNoScore)
                 .unsqueeze(0)
                 .unsqueeze(0);
  }
  auto [result, lse] = at::_scaled_dot_product_flash_attention_for_cpu(
      widened(q), widened(k), widened(v), /*dropout_p=*/0.0, causal, addend, call.scale);
  result = result.narrow(-1, 0, call.value_size);
  if (call.sink.defined()) {
    // softmax with one more score s scales what there was by Z / (Z + e^s), Z being e^lse.
    const auto sink = call.sink.view({call.heads / group, group, 1});
    result = result.to(at::kFloat).mul_(at::sigmoid(lse - sink).unsqueeze(-1));
    lse = at::logaddexp(lse, sink);
  }
  out.copy_(result);
  if (row_max.defined()) {
    row_max.copy_(GreatestScores(call, q, k, causal ? HiddenPairs(call, sequence) : hidden));
  }
  if (log_sum_exp.defined()) log_sum_exp.copy_(lse);
  if (!hidden.defined()) return;
  const auto blind = hidden.all(-1);  // these queries see nothing: the result is 0
  out.masked_fill_(blind.view({1, 1, -1, 1}), 0);
  if (log_sum_exp.defined()) log_sum_exp.masked_fill_(blind.view({1, 1, -1}), kNoScore);
}

// The call of one sequence, with its keys and values gathered.
AttentionCall Gathered(const AttentionCall& call, const AttentionSequence& sequence) {
  AttentionCall one = call;
  one.gather = nullptr;
  std::tie(one.k, one.v) = call.gather(sequence);
  one.k_strides = StridesOf(one.k);
  one.v_strides = StridesOf(one.v);
  one.block_table = at::Tensor();
  one.sequences = {sequence};
  one.sequences[0].kv_begin = 0;
  return one;
}

}  // namespace

at::Tensor HiddenPairs(const AttentionCall& call, const AttentionSequence& sequence) {
  const auto mask = MaskOf(call, sequence);
  if (call.band.before < 0 && call.band.after < 0) return mask;
  const auto queries = sequence.query_length, keys = sequence.kv_length;
  auto hidden = at::ones({queries, keys}, at::kBool);
  bool* row = hidden.data_ptr<bool>();
  for (int64_t i = 0; i < queries; ++i, row += keys) {
    const auto range = VisibleKeys(call.band, sequence, i);
    if (range.begin < range.end) std::fill(row + range.begin, row + range.end, false);
  }
  return mask.defined() ? hidden.logical_or_(mask) : hidden;
}

void Attend(const AttentionCall& call) {
  if (call.gather) {
    for (const auto& sequence : call.sequences) {
      if (sequence.query_length > 0) Attend(Gathered(call, sequence));
    }
    return;
  }
  // Up to here the loops above beat ATen's kernel, which gathers pages and splits queries into
  // blocks of 32.
  constexpr int64_t kShortRows = 32;
  constexpr int64_t kWorkPerTask = 1 << 16;  // multiply-adds worth a thread
  const auto group = call.heads / call.kv_heads;

  std::vector<const AttentionSequence*> short_ones;
  std::vector<at::Tensor> masks;
  int64_t work = 0;
  for (const auto& sequence : call.sequences) {
    if (sequence.query_length == 0) continue;
    if (sequence.query_length * group <= kShortRows) {
      short_ones.push_back(&sequence);
      masks.push_back(MaskOf(call, sequence));
      work += sequence.query_length * group * sequence.kv_length * call.key_size * 2;
    } else {
      AttendLongQuery(call, sequence);
    }
  }
  if (short_ones.empty()) return;
  const auto tasks = static_cast<int64_t>(short_ones.size()) * call.kv_heads;
  const auto grain = std::max<int64_t>(1, kWorkPerTask / std::max<int64_t>(1, work / tasks + 1));
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, call.q.scalar_type(), "Attention", [&] {
    at::parallel_for(0, tasks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const auto index = task / call.kv_heads;
        ShortQuery<scalar_t>(call, *short_ones[index], task % call.kv_heads).Run(masks[index]);
      }
    });
  });
}

}  // namespace ascend_sim::opapi
