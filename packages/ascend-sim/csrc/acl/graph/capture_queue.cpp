// SPDX-License-Identifier: Apache-2.0
#include "acl/graph/capture_queue.h"

#include <algorithm>
#include <bit>

#include "acl/base/config.h"
#include "acl/base/soc.h"
#include "acl/graph/binding.h"
#include "acl/runtime/context.h"

namespace ascend_sim {
namespace {

// Of a software queue, which is in host memory until it is bound.
constexpr int64_t kSoftwareDepth = 32768;
constexpr int64_t kQueueAddressBytes = 8;
// Bound entries take memory in steps of powers of two.
constexpr int64_t kEntryBytes = 64;
constexpr uint64_t kLeastEntryMemory = 32 << 10;

}  // namespace

bool SoftwareQueues() { return ThisSoc().family->software_queues && !GetConfig().hardware_queues; }

void RequireSoftwareQueues(const char* what) {
  if (!SoftwareQueues())
    Raise(kNotSupported, std::string(what) + " need software queues (sq=software)");
}

CaptureQueue::Hidden::Hidden(Context& context) : id(context.OnDevice().Resources().stream_ids) {
  if (SoftwareQueues()) {
    queue_address = Claim(context.OnDevice().Resources().hbm, kQueueAddressBytes);
    PreallocateQueue(context.OnDevice());
  } else {
    queue = Claim(context.OnDevice().Resources().queues);
  }
}

CaptureQueue::CaptureQueue(Context& context)
    : context_(&context),
      depth_(SoftwareQueues() ? kSoftwareDepth : ThisSoc().family->queue_depth) {
  streams_.emplace_back(context);
}

void CaptureQueue::Add(int64_t entries) {
  if (streams_.back().entries + ThisSoc().family->split_reserve >= depth_) {
    Hidden next(*context_);
    ++streams_.back().entries;  // activates the next one, out of its reserve
    streams_.push_back(std::move(next));
  }
  streams_.back().entries += entries;
}

int64_t CaptureQueue::EntryBytes() const {
  int64_t bytes = 0;
  for (const Hidden& stream : streams_) {
    const auto needed = static_cast<uint64_t>(stream.entries * kEntryBytes);
    bytes += static_cast<int64_t>(std::bit_ceil(std::max(needed, kLeastEntryMemory)));
  }
  return bytes;
}

}  // namespace ascend_sim
