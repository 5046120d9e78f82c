// SPDX-License-Identifier: Apache-2.0
#include "hccl/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "hccl/error.h"
#include "hccl/settings.h"

namespace ascend_sim::hccl {
namespace {

constexpr char kMagic[8] = {'A', 'S', 'I', 'M', 'H', 'C', 'C', 'L'};
constexpr uint32_t kLayout = 2;  // to be raised with every change of what is in the file

// The contents of the 4108 bytes of a root info.
struct Root {
  char magic[8];
  uint32_t layout;
  int32_t fd;
  ProcessId maker;
  uint64_t pid_namespace;
  char host[40];  // an id that changes with every boot
  char id[16];
};
static_assert(sizeof(Root) <= sizeof(abi::HcclRootInfo));

std::string HostId() {
  char text[40] = {};
  const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    const ssize_t size = read(fd, text, 36);
    (void)size;
    close(fd);
  }
  return text;
}

uint64_t PidNamespace() {
  struct stat status{};
  return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

[[noreturn]] void RaiseSystem(const char* what) {
  Raise(abi::kHcclSyscall, std::string(what) + " failed: " + std::strerror(errno));
}

// Descriptors, by id, of communicators that ranks have yet to join. If some never do, they are kept
// until the process ends.
struct Made {
  std::mutex mutex;
  std::map<std::string, int> descriptors;

  void Close(const std::string& id) {
    const std::lock_guard lock(mutex);
    if (const auto found = descriptors.find(id); found != descriptors.end()) {
      close(found->second);
      descriptors.erase(found);
    }
  }
};

Made& TheMade() {
  static auto* const made = new Made;
  return *made;
}

std::string Hex(const char (&id)[16]) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : id) {
    text += kDigits[static_cast<uint8_t>(c) >> 4];
    text += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return text;
}

size_t RoundUp(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

size_t SegmentBytes(uint32_t ranks) {
  return RoundUp(sizeof(SegmentHeader)) + sizeof(Channel) * ranks * ranks;
}

Root ReadRoot(const abi::HcclRootInfo& info) {
  Root root;
  std::memcpy(&root, info.internal, sizeof root);
  Require(std::memcmp(root.magic, kMagic, sizeof kMagic) == 0, abi::kHcclPara,
          "the root info was not made by HcclGetRootInfo of this simulator, or was truncated or "
          "changed in transit: pass on all of its 4108 bytes");
  if (root.layout != kLayout) {
    Raise(abi::kHcclPara, "the root info was made by another version of ascend-sim (layout " +
                              std::to_string(root.layout) + ", not " + std::to_string(kLayout) +
                              "): use the same version in all processes");
  }
  root.host[sizeof root.host - 1] = '\0';
  if (root.host != HostId() || root.pid_namespace != PidNamespace()) {
    Raise(abi::kHcclNotSupport,
          "the root info comes from another host or container: the simulated HCCL connects "
          "processes of one host that see each other in /proc");
  }
  return root;
}

int OpenRoot(const Root& root) {
  const std::string path =
      "/proc/" + std::to_string(root.maker.pid) + "/fd/" + std::to_string(root.fd);
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd >= 0 && root.maker.Alive()) return fd;
  const std::string reason = std::strerror(errno);
  if (fd >= 0) close(fd);
  Raise(abi::kHcclTcpConnect,
        "process " + std::to_string(root.maker.pid) + ", which called HcclGetRootInfo, " +
            (root.maker.Alive() ? "cannot be reached (" + reason +
                                      "): the ranks must run under the same user, and a root info "
                                      "is valid for one communicator"
                                : "has ended"));
}

}  // namespace

void MakeRoot(abi::HcclRootInfo& info) {
  Root root{};
  std::memcpy(root.magic, kMagic, sizeof kMagic);
  root.layout = kLayout;
  root.maker = ProcessId::Self();
  root.pid_namespace = PidNamespace();
  HostId().copy(root.host, sizeof root.host - 1);
  if (getrandom(root.id, sizeof root.id, 0) != sizeof root.id) RaiseSystem("getrandom");
  root.fd = memfd_create("ascend-sim-hccl", MFD_CLOEXEC);
  if (root.fd < 0) RaiseSystem("memfd_create");
  if (ftruncate(root.fd, sizeof(SegmentHeader)) != 0 ||
      pwrite(root.fd, root.id, sizeof root.id, offsetof(SegmentHeader, id)) != sizeof root.id) {
    close(root.fd);
    RaiseSystem("making the memory of a communicator");
  }
  Made& made = TheMade();
  {
    const std::lock_guard lock(made.mutex);
    made.descriptors.emplace(Hex(root.id), root.fd);
  }
  std::memset(info.internal, 0, sizeof info.internal);
  std::memcpy(info.internal, &root, sizeof root);
}

std::shared_ptr<Segment> Segment::Join(const abi::HcclRootInfo& info, uint32_t ranks,
                                       uint32_t rank) {
  if (ranks < 1 || ranks > kMaxRanks) {
    Raise(abi::kHcclPara, "a communicator has 1 to " + std::to_string(kMaxRanks) + " ranks, not " +
                              std::to_string(ranks));
  }
  if (rank >= ranks) {
    Raise(abi::kHcclPara, "rank " + std::to_string(rank) + " does not exist among " +
                              std::to_string(ranks) + " ranks");
  }
  const Root root = ReadRoot(info);
  const int fd = OpenRoot(root);
  std::shared_ptr<Segment> segment;
  try {
    segment.reset(new Segment(fd, Hex(root.id), ranks, rank));
    Require(std::memcmp(segment->header_->id, root.id, sizeof root.id) == 0, abi::kHcclTcpConnect,
            "the root info was used already: it is valid for one communicator");
    segment->Enter();
  } catch (...) {
    close(fd);
    throw;
  }
  close(fd);
  return segment;
}

Segment::Segment(int fd, std::string id, uint32_t ranks, uint32_t rank)
    : ranks_(ranks), rank_(rank), id_(std::move(id)), bytes_(SegmentBytes(ranks)) {
  // The file only grows, so that ranks that disagree about their number find each other's slot
  // outside it.
  struct stat status{};
  if (fstat(fd, &status) != 0) RaiseSystem("fstat of a communicator's memory");
  if (static_cast<size_t>(status.st_size) < bytes_ && ftruncate(fd, bytes_) != 0) {
    RaiseSystem("enlarging a communicator's memory");
  }
  void* const address = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) RaiseSystem("mapping a communicator's memory");
  madvise(address, bytes_, MADV_DONTFORK);
  header_ = static_cast<SegmentHeader*>(address);
  channels_ = static_cast<std::byte*>(address) + RoundUp(sizeof(SegmentHeader));
}

Segment::~Segment() {
  Leave();
  munmap(header_, bytes_);
}

void Segment::Enter() {
  uint32_t before = 0;
  if (!header_->ranks.compare_exchange_strong(before, ranks_) && before != ranks_) {
    const std::string why = "rank " + std::to_string(rank_) + " says that there are " +
                            std::to_string(ranks_) + " ranks, others say " + std::to_string(before);
    RecordFailure(abi::kHcclPara, why);
    Raise(abi::kHcclPara, why);
  }
  RankSlot& slot = header_->slots[rank_];
  auto state = RankState::kAbsent;
  if (!slot.state.compare_exchange_strong(state, RankState::kJoining)) {
    const std::string why = "rank " + std::to_string(rank_) + " has joined twice";
    RecordFailure(abi::kHcclPara, why);
    Raise(abi::kHcclPara, why);
  }
  slot.process = ProcessId::Self();
  slot.state.store(RankState::kHere, std::memory_order_release);
  RingAll();
}

void Segment::AwaitAll() {
  using Clock = std::chrono::steady_clock;
  const auto timeout = ConnectTimeout();
  const auto deadline = Clock::now() + timeout;
  const auto missing = [this] {
    std::string names;
    for (uint32_t rank = 0; rank < ranks_; ++rank) {
      const RankState state = header_->slots[rank].state.load(std::memory_order_acquire);
      if (state == RankState::kHere || state == RankState::kLeft) continue;
      names += (names.empty() ? "" : ", ") + std::to_string(rank);
    }
    return names;
  };
  const auto fail = [this](abi::HcclResult code, const std::string& why) {
    RecordFailure(code, why);
    TheMade().Close(id_);
    Raise(code, why);
  };
  for (;;) {
    const uint32_t seen = OwnBell().Count();
    ThrowFailure();
    const std::string names = missing();
    if (names.empty()) break;
    for (uint32_t rank = 0; rank < ranks_; ++rank) {
      const std::string why = WhyGone(rank);
      if (!why.empty()) fail(abi::kHcclTcpConnect, why + " before all ranks had joined");
    }
    if (Clock::now() >= deadline) {
      fail(abi::kHcclTimeout, "rank " + names + " of " + std::to_string(ranks_) +
                                  " did not join within " + std::to_string(timeout.count()) +
                                  " s (HCCL_CONNECT_TIMEOUT)");
    }
    OwnBell().Wait(seen, std::chrono::milliseconds(10));
  }
  TheMade().Close(id_);
}

void Segment::Leave() {
  auto here = RankState::kHere;
  if (header_->slots[rank_].state.compare_exchange_strong(here, RankState::kLeft)) RingAll();
}

void Segment::RingAll() {
  for (uint32_t rank = 0; rank < ranks_; ++rank) Bell(rank).Ring();
}

std::string Segment::Id() const { return id_; }

Channel& Segment::ChannelBetween(uint32_t from, uint32_t to) {
  return reinterpret_cast<Channel*>(channels_)[from * ranks_ + to];
}

void Segment::RecordFailure(abi::HcclResult code, const std::string& why) {
  auto none = SegmentHeader::Failure::kNone;
  if (!header_->failed.compare_exchange_strong(none, SegmentHeader::Failure::kBeingWritten)) return;
  header_->failed_rank = rank_;
  header_->failed_code = code;
  const size_t length = why.copy(header_->failed_why, sizeof header_->failed_why - 1);
  header_->failed_why[length] = '\0';
  header_->failed.store(SegmentHeader::Failure::kThere, std::memory_order_release);
  RingAll();
}

abi::HcclResult Segment::FailureCode() const {
  const bool failed =
      header_->failed.load(std::memory_order_acquire) == SegmentHeader::Failure::kThere;
  return failed ? header_->failed_code : abi::kHcclSuccess;
}

std::string Segment::FailureText() const {
  if (FailureCode() == abi::kHcclSuccess) return {};
  const std::string by =
      header_->failed_rank == rank_ ? "" : "rank " + std::to_string(header_->failed_rank) + ": ";
  return by + header_->failed_why;
}

void Segment::ThrowFailure() const {
  const abi::HcclResult code = FailureCode();
  if (code != abi::kHcclSuccess) Raise(code, FailureText());
}

std::string Segment::WhyGone(uint32_t rank) const {
  const RankSlot& slot = header_->slots[rank];
  const std::string name = "rank " + std::to_string(rank);
  switch (slot.state.load(std::memory_order_acquire)) {
    case RankState::kAbsent:
    case RankState::kJoining:
      return {};
    case RankState::kLeft:
      return name + " has destroyed its communicator";
    case RankState::kHere:
      break;
  }
  if (slot.process.Alive()) return {};
  return name + " (process " + std::to_string(slot.process.pid) + ") has ended";
}

}  // namespace ascend_sim::hccl
