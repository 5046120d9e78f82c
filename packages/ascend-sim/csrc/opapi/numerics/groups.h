// SPDX-License-Identifier: Apache-2.0
//
// Rows that belong together, as grouped operators are told: by a list on the device.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace ascend_sim::opapi {

// Rows [begin, end) are those of group `index` (of an expert).
struct Group {
  int64_t index, begin, end;
  int64_t size() const { return end - begin; }
};

enum GroupListType : int64_t {
  kCumulative = 0,  // where each group ends
  kCounts = 1,      // how many rows each group has
  kPairs = 2,       // rows of [group, how many rows], in any order of groups
};

// Reads a group list. For bodies of operators only: it looks at device memory.
inline std::vector<Group> ReadGroups(const at::Tensor& list, int64_t type, int64_t rows) {
  TORCH_CHECK(type == kPairs ? list.dim() == 2 && list.size(1) == 2 : list.dim() == 1,
              "groupList must be [groups], in pairs [groups, 2], got ", list.sizes());
  const auto numbers = list.to(at::kLong).contiguous();
  const auto* number = numbers.const_data_ptr<int64_t>();
  std::vector<Group> groups;
  groups.reserve(list.size(0));
  int64_t begin = 0;
  for (int64_t i = 0; i < list.size(0); ++i) {
    const auto index = type == kPairs ? number[2 * i] : i;
    const auto end =
        type == kCumulative ? number[i] : begin + number[type == kPairs ? 2 * i + 1 : i];
    TORCH_CHECK(end >= begin && end <= rows, "groupList: group ", i, " has rows ", begin, " to ",
                end, " of ", rows);
    groups.push_back({index, begin, end});
    begin = end;
  }
  return groups;
}

}  // namespace ascend_sim::opapi
