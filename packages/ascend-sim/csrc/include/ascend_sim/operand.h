// SPDX-License-Identifier: Apache-2.0
//
// The seam between libascendcl, which makes the descriptions of an operand of an operator by name,
// and libacl_op_compiler, which reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// What an operand is (its own sizes and format) and how it is stored.
struct aclTensorDesc {
  int32_t data_type = -1;
  int32_t format = -1;
  std::vector<int64_t> sizes;
  int32_t storage_format = -1;
  std::vector<int64_t> storage_sizes;
  int32_t placement = 0;  // 0: device; 1, 2: host
  std::string name;
};

// Where an operand is. The caller owns the memory.
struct aclDataBuffer {
  void* data = nullptr;
  size_t bytes = 0;
};
