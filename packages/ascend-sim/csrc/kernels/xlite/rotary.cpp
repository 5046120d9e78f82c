// SPDX-License-Identifier: Apache-2.0
//
// rope_and_cache: turns queries and keys in place, scales the queries, and writes keys and values
// into their slots of a paged cache.
#include <ATen/Parallel.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/found_memory.h"
#include "kernels/xlite/paged_cache.h"
#include "kernels/xlite/rows.h"

namespace ascend_sim::kernels::xlite {
namespace {

// Cosines and sines of a position: a row [cosines, sines] of a table in float32 or in T.
template <class T>
class AngleTable {
 public:
  AngleTable(const void* table, int64_t half, bool in_float)
      : table_(table), half_(half), in_float_(in_float) {}

  bool in_float() const { return in_float_; }
  int64_t half() const { return half_; }

  void Find(FoundMemory& memory, int64_t last_position) const {
    const size_t count = (last_position + 1) * 2 * half_;
    if (in_float_) {
      memory.Reads("the row of a position in cossinCache", static_cast<const float*>(table_),
                   count);
    } else {
      memory.Reads("the row of a position in cossinCache", static_cast<const T*>(table_), count);
    }
  }

  float At(int64_t position, int64_t i) const {
    const auto at = position * 2 * half_ + i;
    return in_float_ ? static_cast<const float*>(table_)[at]
                     : static_cast<float>(static_cast<const T*>(table_)[at]);
  }

 private:
  const void* table_;
  int64_t half_;
  bool in_float_;
};

// Which of three positions, [3, tokens], each pair of lanes takes: bit i of a mask is pair i.
// Without masks there is one position, [tokens].
struct Planes {
  const int64_t* positions;
  int64_t tokens;
  uint64_t height_mask, width_mask;

  int64_t Count() const { return height_mask == 0 && width_mask == 0 ? 1 : 3; }
  int64_t PlaneOf(int64_t pair) const {
    if (Count() == 1) return 0;
    return width_mask >> pair & 1 ? 2 : height_mask >> pair & 1 ? 1 : 0;
  }
  int64_t At(int64_t token, int64_t plane) const { return positions[plane * tokens + token]; }
};

template <class T>
struct RopeCall {
  Planes planes;
  AngleTable<T> table;
  T *q, *k;
  const T* v;
  int64_t q_step, k_step, v_step;
  int64_t heads, kv_heads, size;
  float scale;
  const int32_t* slots;
  PagedCache<T> keys, values;

  void Run(const char* name) const {
    Find(name);
    at::parallel_for(0, planes.tokens, 8, [&](int64_t begin, int64_t end) {
      std::vector<float> angles(2 * table.half());
      for (int64_t token = begin; token < end; ++token) {
        ReadAngles(token, angles.data());
        for (int64_t head = 0; head < heads; ++head) {
          T* query = q + token * q_step + head * size;
          Turn(query, angles.data(), scale);
          for (int64_t i = 2 * table.half(); i < size; ++i) {
            query[i] = static_cast<T>(static_cast<float>(query[i]) * scale);
          }
        }
        for (int64_t head = 0; head < kv_heads; ++head) {
          Turn(k + token * k_step + head * size, angles.data(), 1.0f);
        }
        std::copy_n(k + token * k_step, keys.row, keys.At(slots[token]));
        std::copy_n(v + token * v_step, values.row, values.At(slots[token]));
      }
    });
  }

 private:
  void Find(const char* name) const {
    FoundMemory memory(name);
    int64_t last_position = 0;
    for (int64_t i = 0; i < planes.Count() * planes.tokens; ++i) {
      const auto position = planes.positions[i];
      if (position < 0)
        throw std::runtime_error("position " + std::to_string(position) + " is below 0");
      last_position = std::max(last_position, position);
    }
    if (planes.tokens > 0) table.Find(memory, last_position);
    for (int64_t token = 0; token < planes.tokens; ++token) {
      const auto slot = slots[token];
      if (slot < 0) {
        throw std::runtime_error(
            "slotMapping[" + std::to_string(token) + "] is " + std::to_string(slot) +
            ": the kernel of a device skips no token, and would write outside the cache");
      }
      memory.Writes("a slot of keyCache", keys.At(slot), keys.row);
      memory.Writes("a slot of valueCache", values.At(slot), values.row);
    }
    memory.Note();
  }

  // The cosines of a token's pairs, then the sines.
  void ReadAngles(int64_t token, float* angles) const {
    const auto half = table.half();
    for (int64_t pair = 0; pair < half; ++pair) {
      const auto position = planes.At(token, planes.PlaneOf(pair));
      angles[pair] = table.At(position, pair);
      angles[half + pair] = table.At(position, half + pair);
    }
  }

  // With a table in float32 a result is rounded once. With one in T the products, their sum, and
  // the scaled sum are.
  void Turn(T* head, const float* angles, float factor) const {
    const auto half = table.half();
    const auto step = [rounds = !table.in_float()](float value) {
      return rounds ? Rounded<T>(value) : value;
    };
    for (int64_t i = 0; i < half; ++i) {
      const float left = static_cast<float>(head[i]), right = static_cast<float>(head[half + i]);
      const float cosine = angles[i], sine = angles[half + i];
      const float turned_left = step(step(left * cosine) - step(right * sine));
      const float turned_right = step(step(right * cosine) + step(left * sine));
      head[i] = static_cast<T>(turned_left * factor);
      head[half + i] = static_cast<T>(turned_right * factor);
    }
  }
};

template <class T>
KernelRun RopeAndCache(KernelLaunch& launch, const int64_t* positions, T* q, T* k, const T* v,
                       const void* table, T* k_cache, T* v_cache, const int32_t* slots,
                       uint32_t k_pitch, uint32_t v_pitch, uint32_t tokens, uint32_t rotary_size,
                       uint32_t q_step, uint32_t k_step, uint32_t v_step, uint32_t heads,
                       uint32_t kv_heads, uint32_t size, uint32_t block_size, float scale,
                       uint64_t height_mask, uint64_t width_mask, bool table_in_float) {
  launch.Limit(rotary_size == 64 || rotary_size == 128, "rotDim must be 64 or 128");
  launch.Require(rotary_size % 2 == 0 && rotary_size <= size,
                 "rotDim must be even and at most headDim");
  launch.Require(rotary_size <= 128 || (height_mask == 0 && width_mask == 0),
                 "rotDim must be at most 128 with masks, which have 64 bits");
  launch.Require(block_size > 0, "blockSize must be above 0");
  const int64_t row = int64_t{kv_heads} * size;
  const RopeCall<T> call{{positions, tokens, height_mask, width_mask},
                         {table, rotary_size / 2, table_in_float},
                         q,
                         k,
                         v,
                         q_step,
                         k_step,
                         v_step,
                         heads,
                         kv_heads,
                         size,
                         scale,
                         slots,
                         {k_cache, block_size, row, k_pitch},
                         {v_cache, block_size, row, v_pitch}};
  launch.Reads(positions, call.planes.Count() * tokens);
  launch.Reads(slots, tokens);
  if (tokens > 0) {
    const size_t others = tokens - 1;
    launch.Writes(q, others * q_step + size_t{heads} * size);
    launch.Writes(k, others * k_step + row);
    launch.Reads(v, others * v_step + row);
  }
  return [call, name = launch.Name()] { call.Run(name); };
}

}  // namespace

ASCEND_SIM_KERNEL(rope_and_cache_bfloat16_t, RopeAndCache<BFloat16>);
ASCEND_SIM_KERNEL(rope_and_cache_float16_t, RopeAndCache<Half>);

}  // namespace ascend_sim::kernels::xlite
