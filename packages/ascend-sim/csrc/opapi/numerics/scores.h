// SPDX-License-Identifier: Apache-2.0
//
// The loops of attention, over rows of floats: scores of queries and keys, their exponentials, and
// the weighted sums of values. A row's result does not depend on how many rows there are.
#pragma once

#include <cstdint>

#include "ascend_sim/launch.h"

namespace ascend_sim::opapi {

// scores[r][t] = scale * q[r] . k[t]
ASCEND_SIM_EXPORT void ScoreTokens(const float* q, int64_t rows, const float* k, int64_t k_stride,
                                   int64_t tokens, int64_t size, float scale, float* scores,
                                   int64_t scores_stride);

// Turns scores into exp(score - max); returns their sum. `max` must be finite.
ASCEND_SIM_EXPORT float Exponentiate(float* scores, int64_t n, float max);

// out[r] += sum over t of weights[r][t] * v[t]
ASCEND_SIM_EXPORT void AccumulateTokens(const float* weights, int64_t weights_stride, int64_t rows,
                                        const float* v, int64_t v_stride, int64_t tokens,
                                        int64_t size, float* out);

}  // namespace ascend_sim::opapi
