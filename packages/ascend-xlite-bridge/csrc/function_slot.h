// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace ascend_xlite_bridge {

/// The place from which one loaded library calls a function of another.
///
/// The library owns the place. To replace the function there leaves the file, the function itself
/// and all other libraries as they are.
class FunctionSlot {
 public:
  /// Finds the place. `library` is a handle of dlopen. Throws if there is not exactly one, or if it
  /// cannot be written to.
  FunctionSlot(void* library, const std::string& symbol);

  /// What the symbol means to the library: the function that another library defines.
  void* original() const { return original_; }

  /// From now on the library calls this instead. Other threads may be calling meanwhile.
  void Replace(void* function);

 private:
  void** place_;
  void* original_;
};

}  // namespace ascend_xlite_bridge
