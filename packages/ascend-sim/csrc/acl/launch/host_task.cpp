// SPDX-License-Identifier: Apache-2.0
//
// Functions that CANN does not have, for tests that need a launch without an operator library.
#include <stdexcept>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "ascend_sim/launch.h"

using namespace ascend_sim;

// Launches `function(argument)` as a task of the given TaskKind; a result other than 0 is a failure
// of the task.
ASCEND_SIM_ABI aclError ascendSimLaunchHostTask(aclrtStream stream, int (*function)(void*),
                                                void* argument, int kind) {
  if (function == nullptr || kind < 0 || kind > static_cast<int>(TaskKind::kValueWait)) {
    return Fail(kInvalidParam, "ascendSimLaunchHostTask",
                "no function, or a kind that does not exist");
  }
  return Launch(stream,
                {"ascendSimLaunchHostTask", static_cast<TaskKind>(kind), [=] {
                   const int result = function(argument);
                   if (result != 0) {
                     throw std::runtime_error("the task returned " + std::to_string(result));
                   }
                 }});
}
