// SPDX-License-Identifier: Apache-2.0
//
// How libhccl fails: functions throw an Error, and at the C boundary Call() turns it into HCCL's
// code and the calling thread's text for aclGetRecentErrMsg.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "abi/hccl.h"
#include "ascend_sim/launch.h"

namespace ascend_sim::hccl {

// The exception of libhccl. If it leaves a task, its text becomes the device's error.
class Error : public std::runtime_error {
 public:
  Error(abi::HcclResult code, const std::string& why) : std::runtime_error(why), code_(code) {}
  abi::HcclResult Code() const { return code_; }

 private:
  abi::HcclResult code_;
};

[[noreturn]] inline void Raise(abi::HcclResult code, const std::string& why) {
  throw Error(code, why);
}

inline void Require(bool ok, abi::HcclResult code, const char* why) {
  if (!ok) Raise(code, why);
}

// Checks a pointer argument of the ABI that must not be null.
inline void RequirePtr(const void* pointer, const char* what) {
  if (pointer == nullptr) Raise(abi::kHcclPtr, std::string(what) + " is null");
}

// The documented name of a result; "unknown result" for any other number.
const char* ResultName(int code) noexcept;

// Runs the body of the ABI function `name`. The only place where errors become codes.
template <class Body>
int Call(const char* name, Body&& body) noexcept {
  try {
    body();
    return abi::kHcclSuccess;
  } catch (const Error& error) {
    return Fail(error.Code(), name, error.what());
  } catch (const std::bad_alloc&) {
    return Fail(abi::kHcclMemory, name, "the host is out of memory");
  } catch (const std::exception& error) {
    return Fail(abi::kHcclInternal, name, error.what());
  } catch (...) {
    return Fail(abi::kHcclInternal, name, "unknown exception");
  }
}

}  // namespace ascend_sim::hccl
