// SPDX-License-Identifier: Apache-2.0
#include "opapi/attention/layout.h"

namespace ascend_sim::opapi {

Layouts LayoutsOf(const std::string& input_layout) {
  const auto bar = input_layout.find('_');
  const auto in = input_layout.substr(0, bar);
  return {in, bar == std::string::npos ? in : input_layout.substr(bar + 1)};
}

bool IsPacked(const std::string& layout) { return layout == "TND" || layout == "NTD"; }

Tensor RowsIn(const std::string& layout, const Tensor& tensor, int64_t heads, const char* name) {
  const int64_t rank = static_cast<int64_t>(layout.size()) == 3 ? 3 : 4;
  Require(tensor.dim() == rank, name, " must have ", rank, " dimensions in layout ", layout);
  Require(tensor.numel() == 0 || tensor.stride(-1) == 1, name,
          " must be contiguous in its last dimension");
  const auto split = [&](const Tensor& rows) {  // heads * size in one dimension
    Require(heads > 0 && rows.size(2) % heads == 0, name,
            ": the last dimension is not a multiple of the number of heads");
    return rows.unflatten(2, {heads, rows.size(2) / heads});
  };
  if (layout == "BSH") return split(tensor);
  if (layout == "SBH") return split(tensor.transpose(0, 1));
  if (layout == "BSND") return tensor;
  if (layout == "BNSD") return tensor.transpose(1, 2);
  if (layout == "NBSD") return tensor.permute({1, 2, 0, 3});
  if (layout == "TND") return tensor.unsqueeze(0);
  if (layout == "NTD" || layout == "NSD") return tensor.transpose(0, 1).unsqueeze(0);
  throw ParamError(kParamInvalid, "inputLayout " + layout + " is not supported");
}

Tensor OfBatch(const Tensor& rows, int64_t batch) {
  return rows.select(0, rows.size(0) == 1 ? 0 : batch);
}

Tensor HeadsOf(const Tensor& rows, int64_t batch, int64_t begin, int64_t length) {
  return OfBatch(rows, batch).narrow(0, begin, length).transpose(0, 1).to(at::kFloat);
}

Pages PagesIn(const Tensor& cache, int64_t heads, int64_t block_size, const char* name) {
  if (cache.dim() == 3 && cache.size(1) == block_size) {
    return {RowsIn("BSH", cache, heads, name), PageLayout::kTokensFirst};
  }
  if (cache.dim() == 4 && cache.size(1) == heads && cache.size(2) == block_size) {
    return {RowsIn("BNSD", cache, heads, name), PageLayout::kHeadsFirst};
  }
  if (cache.dim() == 4 && cache.size(1) == block_size && cache.size(2) == heads) {
    return {RowsIn("BSND", cache, heads, name), PageLayout::kSplitHeads};
  }
  if (cache.dim() == 5 && cache.size(1) == heads && cache.size(3) == block_size) {
    return {cache.permute({0, 3, 1, 2, 4}), PageLayout::kFractal};
  }
  throw ParamError(kParamInvalid,
                   c10::str(name, " has shape ", cache.sizes(), "; a paged cache is [blocks, ",
                            block_size, ", ", heads, " * size], [blocks, ", heads, ", ", block_size,
                            ", size] or [blocks, ", heads, ", size / 16, ", block_size, ", 16]"));
}

}  // namespace ascend_sim::opapi
