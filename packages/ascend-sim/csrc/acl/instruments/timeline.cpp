// SPDX-License-Identifier: Apache-2.0
//
// The timeline: events in Chrome's trace format, appended to the file that the configuration names.
// Several processes may share it.
#include "acl/observe/timeline.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "acl/base/config.h"

namespace ascend_sim {
namespace {

constexpr size_t kFlushBytes = 32 << 10;
constexpr auto kFlushAfter = std::chrono::milliseconds(200);
constexpr uint64_t kMaxEvents = 2'000'000;  // of one process: about 250 MB of text

double Microseconds(Clock::time_point time) {
  return std::chrono::duration<double, std::micro>(time.time_since_epoch()).count();
}

std::string ProgramName() {
  std::string name;
  std::ifstream("/proc/self/comm") >> name;
  return name;
}

template <class... Arguments>
std::string Format(const char* format, Arguments... arguments) {
  char text[512];
  std::snprintf(text, sizeof text, format, arguments...);
  return text;
}

// This process's part of the file. Whole lines are appended at once, so that lines of several
// processes do not mix. Never destroyed.
class Writer {
 public:
  explicit Writer(const std::string& path)
      : file_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
    if (file_ < 0) {
      std::fprintf(stderr, "ascend-sim: no timeline: cannot write %s: %m\n", path.c_str());
      return;
    }
    flock(file_, LOCK_EX);
    struct stat status{};
    if (fstat(file_, &status) == 0 && status.st_size == 0) Write("[\n");
    flock(file_, LOCK_UN);
    Introduce();
  }

  int Track(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto [track, is_new] = tracks_.emplace(name, static_cast<int>(tracks_.size()) + 1);
    if (is_new) Describe("thread_name", track->second, name);
    return track->second;
  }

  void Event(const std::string& fields, int track) {
    const std::lock_guard lock(mutex_);
    if (events_++ < kMaxEvents) Append(fields, track);
  }

  void Flush() {
    const std::lock_guard lock(mutex_);
    FlushLocked();
  }

  // Reports how much is missing.
  void Finish() {
    const std::lock_guard lock(mutex_);
    if (events_ > kMaxEvents) {
      Append(
          Format(R"("name":"%llu events dropped","cat":"timeline","ph":"i","s":"p","ts":%.3f)",
                 static_cast<unsigned long long>(events_ - kMaxEvents), Microseconds(Clock::now())),
          0);
    }
    FlushLocked();
  }

  // Handlers around fork() give a child an empty buffer and an unlocked mutex.
  void BeforeFork() { mutex_.lock(); }
  void AfterForkInParent() { mutex_.unlock(); }
  void AfterForkInChild() {
    buffer_.clear();
    tracks_.clear();
    Introduce();
    mutex_.unlock();
  }

 private:
  void Introduce() {
    pid_ = getpid();
    Describe("process_name", 0, ProgramName() + " " + std::to_string(pid_));
  }

  void Describe(const char* what, int track, const std::string& name) {
    Append(Format(R"("name":"%s","ph":"M","args":{"name":"%s"})", what, name.c_str()), track);
  }

  void Append(const std::string& fields, int track) {
    buffer_ += "{" + fields + Format(R"(,"pid":%d,"tid":%d})", pid_, track) + ",\n";
    if (buffer_.size() > kFlushBytes || Clock::now() - flushed_ > kFlushAfter) FlushLocked();
  }

  void FlushLocked() {
    Write(buffer_);
    buffer_.clear();
    flushed_ = Clock::now();
  }

  void Write(const std::string& text) {
    // A full disk must not stop the program; the reader copes with a truncated line.
    if (file_ >= 0 && !text.empty() && write(file_, text.data(), text.size()) < 0) file_ = -1;
  }

  int file_;
  int pid_ = 0;
  std::mutex mutex_;
  std::string buffer_;
  std::map<std::string, int> tracks_;
  uint64_t events_ = 0;
  Clock::time_point flushed_ = Clock::now();
};

Writer& TheWriter() {
  static auto* const writer = [] {
    static auto* const made = new Writer(GetConfig().timeline);
    std::atexit([] { made->Finish(); });
    pthread_atfork([] { made->BeforeFork(); }, [] { made->AfterForkInParent(); },
                   [] { made->AfterForkInChild(); });
    return made;
  }();
  return *writer;
}

constexpr int kNoTrack = -1;
thread_local int this_track = kNoTrack;

int HostTrack() { return TheWriter().Track("host thread " + std::to_string(gettid())); }

class TraceFile final : public Timeline {
 public:
  int Enter(const std::string& track) override {
    return std::exchange(this_track, TheWriter().Track(track));
  }
  void Leave(int before) override { this_track = before; }

  void Record(const char* name, const char* category, uint32_t graph,
              Clock::time_point begin) override {
    const double start = Microseconds(begin);
    std::string fields = Format(R"("name":"%s","cat":"%s","ph":"X","ts":%.3f,"dur":%.3f)", name,
                                category, start, Microseconds(Clock::now()) - start);
    if (graph != 0) fields += Format(R"(,"args":{"graph":%u})", graph);
    TheWriter().Event(fields, this_track == kNoTrack ? HostTrack() : this_track);
  }

  uint64_t StartArrow() override {
    if (this_track == kNoTrack) return 0;
    static std::atomic<uint64_t> next{1};
    const uint64_t arrow = static_cast<uint64_t>(getpid()) << 32 | next.fetch_add(1);
    TheWriter().Event(Format(R"("name":"event","cat":"event","ph":"s","id":%llu,"ts":%.3f)",
                             static_cast<unsigned long long>(arrow), Microseconds(Clock::now())),
                      this_track);
    return arrow;
  }

  void EndArrow(uint64_t arrow) override {
    if (this_track == kNoTrack) return;
    TheWriter().Event(
        Format(R"("name":"event","cat":"event","ph":"f","bp":"e","id":%llu,"ts":%.3f)",
               static_cast<unsigned long long>(arrow), Microseconds(Clock::now())),
        this_track);
  }
};

const bool timeline_attached = Slot<Timeline>::Attach(
    []() -> Timeline* { return GetConfig().timeline.empty() ? nullptr : new TraceFile; });

}  // namespace
}  // namespace ascend_sim
