// SPDX-License-Identifier: Apache-2.0
//
// Rows of a table: the embedding of tokens, and the rows of hidden states that logits are for.
#include <algorithm>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/found_memory.h"
#include "kernels/xlite/rows.h"

namespace ascend_sim::kernels::xlite {
namespace {

// out[i] = table[ids[i] - begin], or zeros for an id that another rank has: the ranks add up.
template <class T>
KernelRun Embed(KernelLaunch& launch, const T* table, const uint32_t* ids, T* out, uint32_t size,
                uint32_t rows, uint32_t begin, uint32_t end, uint32_t /*ranks*/) {
  launch.Limit(size % 16 == 0, "dim must be a multiple of 16");
  launch.Reads(ids, rows);
  launch.Writes(out, size_t{rows} * size);
  return [=, name = launch.Name()] {
    const auto is_here = [=](uint32_t id) { return begin <= id && id < end; };
    const auto row_of = [=](uint32_t id) { return table + size_t{id - begin} * size; };
    FoundMemory memory(name);
    for (uint32_t i = 0; i < rows; ++i) {
      if (is_here(ids[i])) memory.Reads("the row of an id", row_of(ids[i]), size);
    }
    memory.Note();
    for (size_t i = 0; i < rows; ++i) {
      T* row = out + i * size;
      if (is_here(ids[i])) {
        std::copy_n(row_of(ids[i]), size, row);
      } else {
        std::fill_n(row, size, T(0.0f));
      }
    }
  };
}

}  // namespace

ASCEND_SIM_KERNEL(embed_kernel_bfloat16_t, Embed<BFloat16>);
ASCEND_SIM_KERNEL(embed_kernel_float16_t, Embed<Half>);

}  // namespace ascend_sim::kernels::xlite
