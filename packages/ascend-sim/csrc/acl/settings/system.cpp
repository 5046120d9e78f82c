// SPDX-License-Identifier: Apache-2.0
//
// Initialization and what the library says of its versions and abilities.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "abi/acl.h"
#include "acl/base/config.h"
#include "acl/base/error.h"
#include "acl/observe/counters.h"
#include "acl/runtime/context.h"
#include "acl/runtime/device.h"

namespace ascend_sim {
namespace {

// The simulated CANN and the driver it would run on. The driver's version makes callers use the
// functions that came with it (memory attributes, conditional copies), which are all here.
constexpr const char* kCannVersion = "9.1.0";
constexpr const char* kDriverVersion = "25.5.0";
constexpr int kAclMajor = 1;
constexpr int kAclMinor = 16;
constexpr int kAclPatch = 0;

std::atomic<bool>& Initialized() {
  static std::atomic<bool> initialized{false};
  return initialized;
}

// aclCannAttr values of the abilities that are present: "infinity and NaN" arithmetic and bfloat16.
constexpr int kCannAttributes[] = {0, 1};

void CopyText(char* to, size_t room, const std::string& text) {
  std::snprintf(to, room, "%s", text.c_str());
}

// Part `index` of a version "a.b.c".
std::string Part(const std::string& version, int index) {
  size_t begin = 0;
  for (; index > 0; --index) begin = version.find('.', begin) + 1;
  return version.substr(begin, version.find('.', begin) - begin);
}

// Of {"defaultDevice": {"default_device": "0"}}. Not by std::regex, which would export symbols.
std::optional<int32_t> DefaultDeviceIn(const char* config_path) {
  constexpr std::string_view kObject = "\"defaultDevice\"", kKey = "\"default_device\"";
  std::ifstream file(config_path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto object = text.find(kObject);
  if (object == std::string::npos) return std::nullopt;
  const auto key = text.find(kKey, object);
  if (key == std::string::npos) return std::nullopt;
  const auto value = std::min(text.find_first_not_of(" \t\r\n:\"", key + kKey.size()), text.size());
  int32_t device = 0;
  const auto [_, error] = std::from_chars(text.data() + value, text.data() + text.size(), device);
  return error == std::errc() && device >= 0 ? std::optional(device) : std::nullopt;
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

// Of the file, which also configures dumps and profiling, the default device is read: torch_npu
// names device 0 there (acl_default.json).
ASCEND_SIM_ABI aclError aclInit(const char* config_path) {
  return Abi("aclInit", [&] {
    GetConfig();
    Count();
    Devices();
    Require(!Initialized().exchange(true), kRepeatInitialize, "aclInit was called before");
    if (config_path == nullptr) return;
    if (const auto device = DefaultDeviceIn(config_path)) SetDefaultDevice(*device);
  });
}

ASCEND_SIM_ABI aclError aclFinalize() {
  return Abi("aclFinalize", [] {
    Require(Initialized().exchange(false), kRepeatFinalize, "there is no aclInit to undo");
  });
}

ASCEND_SIM_ABI aclError aclrtGetVersion(int32_t* major, int32_t* minor, int32_t* patch) {
  return Abi("aclrtGetVersion", [&] {
    RequirePtr(major, "majorVersion");
    RequirePtr(minor, "minorVersion");
    RequirePtr(patch, "patchVersion");
    *major = kAclMajor;
    *minor = kAclMinor;
    *patch = kAclPatch;
  });
}

ASCEND_SIM_ABI aclError aclsysGetCANNVersion(int package, abi::PackageVersion* out) {
  return Abi("aclsysGetCANNVersion", [&] {
    RequirePtr(out, "version");
    Require(package >= abi::kPackageCann && package <= abi::kPackageDriver, kInvalidParam,
            "the package does not exist");
    const std::string version = package == abi::kPackageDriver ? kDriverVersion : kCannVersion;
    *out = {};
    CopyText(out->version, sizeof out->version, version);
    CopyText(out->major_version, sizeof out->major_version, Part(version, 0));
    CopyText(out->minor_version, sizeof out->minor_version, Part(version, 1));
    CopyText(out->release_version, sizeof out->release_version, Part(version, 2));
  });
}

// Every package of the simulated toolkit has the toolkit's version.
ASCEND_SIM_ABI aclError aclsysGetVersionStr(const char* package, char* version) {
  return Abi("aclsysGetVersionStr", [&] {
    RequirePtr(package, "pkgName");
    RequirePtr(version, "versionStr");
    CopyText(version, abi::kVersionMax,
             std::strcmp(package, "driver") == 0 ? kDriverVersion : kCannVersion);
  });
}

ASCEND_SIM_ABI aclError aclGetCannAttributeList(const int** attributes, size_t* number) {
  return Abi("aclGetCannAttributeList", [&] {
    RequirePtr(attributes, "cannAttrList");
    RequirePtr(number, "num");
    *attributes = kCannAttributes;
    *number = std::size(kCannAttributes);
  });
}

ASCEND_SIM_ABI aclError aclGetCannAttribute(int attribute, int32_t* value) {
  return Abi("aclGetCannAttribute", [&] {
    RequirePtr(value, "value");
    *value = std::find(std::begin(kCannAttributes), std::end(kCannAttributes), attribute) !=
                     std::end(kCannAttributes)
                 ? 1
                 : 0;
  });
}
