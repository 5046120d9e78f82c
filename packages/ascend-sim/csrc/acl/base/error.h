// SPDX-License-Identifier: Apache-2.0
//
// How this library fails: inside, a Failure is thrown; at the C boundary, Abi() turns it into a
// code and into the calling thread's text for aclGetRecentErrMsg. No exception ever leaves an ABI
// function.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "abi/codes.h"
#include "ascend_sim/call.h"

namespace ascend_sim {

// What is thrown. `why` says what happened and, where it helps, what to do next.
struct Failure {
  int code;
  std::string why;
};

[[noreturn]] inline void Raise(int code, std::string why) { throw Failure{code, std::move(why)}; }

inline void Require(bool ok, int code, const char* why) {
  if (!ok) Raise(code, why);
}

// A pointer argument of the ABI that must not be null.
inline void RequirePtr(const void* pointer, const char* what) {
  if (pointer == nullptr) Raise(kInvalidParam, std::string(what) + " is null");
}

// Error state is per thread, as in CANN's default configuration; nothing here is shared.
struct ThreadErrors {
  std::string pending;   // not yet fetched, newest first
  std::string returned;  // keeps the last answer of aclGetRecentErrMsg alive
  int last = kSuccess;
};
ThreadErrors& ErrorsOfThread();

// `what` happened, in the form of CANN's messages.
std::string ErrorMessage(int code, const std::string& what);

// Runs `body` and returns the code that `call` must return.
template <class Body>
int CodeOf(const char* call, Body& body) noexcept {
  try {
    body();
    return kSuccess;
  } catch (const Failure& failure) {
    return Fail(failure.code, call, failure.why);
  } catch (const std::bad_alloc&) {
    return Fail(kMemoryAllocation, call, "the host is out of memory");
  } catch (const std::exception& error) {
    return Fail(kInternal, call, error.what());
  } catch (...) {
    return Fail(kInternal, call, "unknown exception");
  }
}

// Runs the body of the ABI function `call`; the single place where failures become codes.
template <class Body>
int Abi(const char* call, Body&& body) noexcept {
  return Call(call, [&]() noexcept { return CodeOf(call, body); });
}

}  // namespace ascend_sim
