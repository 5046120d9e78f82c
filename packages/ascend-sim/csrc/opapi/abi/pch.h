// SPDX-License-Identifier: Apache-2.0
//
// Precompiled header of libopapi: ATen is large and every file of this folder needs it.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <vector>
