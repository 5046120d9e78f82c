// SPDX-License-Identifier: Apache-2.0
//
// libc_sec: the bounds-checked string functions that torchair's libraries take from CANN. As in
// C11's annex K a destination that is too small ends up as the empty string, never unterminated.
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstring>

#define C_SEC_ABI extern "C" __attribute__((visibility("default")))

C_SEC_ABI int strcpy_s(char* destination, std::size_t size, const char* source) {
  if (destination == nullptr || size == 0) return EINVAL;
  destination[0] = '\0';
  if (source == nullptr) return EINVAL;
  const std::size_t length = std::strlen(source);
  if (length >= size) return ERANGE;
  std::memcpy(destination, source, length + 1);
  return 0;
}

// At most `count` characters are written, and -1 is returned when that, or `size`, cuts the text
// short.
C_SEC_ABI int vsnprintf_s(char* destination, std::size_t size, std::size_t count,
                          const char* format, std::va_list arguments) {
  if (destination == nullptr || size == 0) return -1;
  destination[0] = '\0';
  if (format == nullptr) return -1;
  const bool count_fits = count < size;
  const std::size_t room = count_fits ? count + 1 : size;
  const int length = std::vsnprintf(destination, room, format, arguments);
  if (length >= 0 && static_cast<std::size_t>(length) < room) return length;
  if (!count_fits) destination[0] = '\0';
  return -1;
}

C_SEC_ABI int snprintf_s(char* destination, std::size_t size, std::size_t count, const char* format,
                         ...) {
  std::va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf_s(destination, size, count, format, arguments);
  va_end(arguments);
  return length;
}
