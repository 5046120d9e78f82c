// SPDX-License-Identifier: Apache-2.0
//
// aclAppLog: what a program writes into CANN's log. torch_npu filters by ASCEND_GLOBAL_LOG_LEVEL
// before it calls. As with CANN the log comes to stdout when ASCEND_SLOG_PRINT_TO_STDOUT=1; log
// files are not kept.
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "abi/acl.h"

namespace {

bool LogToStdout() {
  static const bool wanted = [] {
    const char* value = std::getenv("ASCEND_SLOG_PRINT_TO_STDOUT");
    return value != nullptr && std::strcmp(value, "1") == 0;
  }();
  return wanted;
}

const char* LevelName(int level) {
  constexpr const char* kNames[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
  return level >= 0 && level < 4 ? kNames[level] : "LOG";
}

}  // namespace

ASCEND_SIM_ABI void aclAppLog(int level, const char* function, const char* file, uint32_t line,
                              const char* format, ...) {
  if (!LogToStdout() || function == nullptr || file == nullptr || format == nullptr) return;
  char text[1024];  // as long as a line of CANN's log
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::printf("[%s] APP %s:%u %s: %s\n", LevelName(level), file, line, function, text);
  std::fflush(stdout);
}
