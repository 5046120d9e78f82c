// SPDX-License-Identifier: Apache-2.0
#include "acl/runtime/graph_layer.h"

namespace ascend_sim {
namespace {

GraphLayer* installed = nullptr;

}  // namespace

GraphLayer& TheGraphLayer() { return *installed; }

void Install(GraphLayer& layer) { installed = &layer; }

}  // namespace ascend_sim
