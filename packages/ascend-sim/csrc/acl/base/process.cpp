// SPDX-License-Identifier: Apache-2.0
#include "ascend_sim/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace ascend_sim {
namespace {

struct Stat {
  char state = 'X';  // as of a process that is gone
  uint64_t start_time = 0;
};

// /proc/PID/stat: "PID (NAME) STATE ...", with the start time as field 22. NAME may hold anything.
Stat ReadStat(int32_t pid) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char text[1024];
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return {};
  text[size] = '\0';
  const char* field = std::strrchr(text, ')');
  if (field == nullptr) return {};
  Stat stat;
  stat.state = field[2];
  constexpr int kFieldsFromNameToStart = 20;
  for (int i = 0; i < kFieldsFromNameToStart && field != nullptr; ++i) {
    field = std::strchr(field + 1, ' ');
  }
  if (field == nullptr || std::sscanf(field, " %lu", &stat.start_time) != 1) return {};
  return stat;
}

}  // namespace

ProcessId ProcessId::Self() {
  const int32_t pid = getpid();
  return {pid, ReadStat(pid).start_time};
}

bool ProcessId::Alive() const {
  const Stat stat = ReadStat(pid);
  return stat.state != 'Z' && stat.state != 'X' && stat.start_time == start_time;
}

}  // namespace ascend_sim
