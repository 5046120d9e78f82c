// SPDX-License-Identifier: Apache-2.0
#include "hccl/data_type.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <type_traits>

#include "abi/acl.h"
#include "hccl/error.h"

extern "C" const char* aclrtGetSocName();

// On x86-64 the loops are compiled for AVX2 and for the baseline, and the better version is chosen
// when the library is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ASCEND_SIM_CLONES \
  __attribute__((target_clones("arch=x86-64-v3", "default"), optimize("O3")))
#else
#define ASCEND_SIM_CLONES
#endif

namespace ascend_sim::hccl {
namespace {

using abi::HcclDataType;
using abi::HcclReduceOp;

// bf16 is the upper half of an fp32.
struct Bfloat16 {
  uint16_t bits;

  explicit Bfloat16(float value) {
    const auto wide = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = wide + 0x7fff + ((wide >> 16) & 1);  // to nearest, ties to even
    bits = static_cast<uint16_t>((value != value ? wide | 0x400000 : rounded) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
};

// The type that sums of a type are accumulated in.
template <class T>
struct AccumulatorOf {
  using Type = T;
};
template <>
struct AccumulatorOf<_Float16> {
  using Type = float;
};
template <>
struct AccumulatorOf<Bfloat16> {
  using Type = float;
};

template <HcclReduceOp op, class T>
[[gnu::always_inline]] inline T Combine(T a, T b) {
  if constexpr (op == abi::kReduceMax) {
    return a < b ? b : a;
  } else if constexpr (op == abi::kReduceMin) {
    return b < a ? b : a;
  } else if constexpr (std::is_integral_v<T>) {
    // Unsigned, and at least as wide as int: it wraps around, where signed overflow is undefined.
    using Wide = std::make_unsigned_t<decltype(a + b)>;
    const Wide x = static_cast<Wide>(a), y = static_cast<Wide>(b);
    return static_cast<T>(op == abi::kReduceSum ? x + y : x * y);
  } else {
    return op == abi::kReduceSum ? a + b : a * b;
  }
}

constexpr size_t kTile = 2048;  // elements whose accumulators stay in the first-level cache

template <class T, HcclReduceOp op>
[[gnu::always_inline]] inline void ReduceAs(T* out, const T* const* inputs, size_t count,
                                            size_t n) {
  using A = typename AccumulatorOf<T>::Type;
  if (count == 2) {
    const T *a = inputs[0], *b = inputs[1];
    for (size_t i = 0; i < n; ++i) out[i] = T(Combine<op>(A(a[i]), A(b[i])));
    return;
  }
  A tile[kTile];
  for (size_t first = 0; first < n; first += kTile) {
    const size_t length = std::min(kTile, n - first);
    for (size_t i = 0; i < length; ++i) tile[i] = A(inputs[0][first + i]);
    for (size_t r = 1; r < count; ++r) {
      const T* in = inputs[r] + first;
      for (size_t i = 0; i < length; ++i) tile[i] = Combine<op>(tile[i], A(in[i]));
    }
    for (size_t i = 0; i < length; ++i) out[first + i] = T(tile[i]);
  }
}

// One function per type, so that each is compiled for both instruction sets.
#define ASCEND_SIM_REDUCE(Name, T)                                                    \
  ASCEND_SIM_CLONES void Name(T* out, const T* const* inputs, size_t count, size_t n, \
                              HcclReduceOp op) {                                      \
    switch (op) {                                                                     \
      case abi::kReduceSum:                                                           \
        return ReduceAs<T, abi::kReduceSum>(out, inputs, count, n);                   \
      case abi::kReduceProd:                                                          \
        return ReduceAs<T, abi::kReduceProd>(out, inputs, count, n);                  \
      case abi::kReduceMax:                                                           \
        return ReduceAs<T, abi::kReduceMax>(out, inputs, count, n);                   \
      case abi::kReduceMin:                                                           \
        return ReduceAs<T, abi::kReduceMin>(out, inputs, count, n);                   \
    }                                                                                 \
  }

ASCEND_SIM_REDUCE(ReduceInt8, int8_t)
ASCEND_SIM_REDUCE(ReduceInt16, int16_t)
ASCEND_SIM_REDUCE(ReduceInt32, int32_t)
ASCEND_SIM_REDUCE(ReduceInt64, int64_t)
ASCEND_SIM_REDUCE(ReduceUint64, uint64_t)
ASCEND_SIM_REDUCE(ReduceFp16, _Float16)
ASCEND_SIM_REDUCE(ReduceBf16, Bfloat16)
ASCEND_SIM_REDUCE(ReduceFp32, float)
ASCEND_SIM_REDUCE(ReduceFp64, double)
#undef ASCEND_SIM_REDUCE

template <class T>
void Run(void (*reduce)(T*, const T* const*, size_t, size_t, HcclReduceOp), std::byte* out,
         const std::byte* const* inputs, size_t count, size_t elements, HcclReduceOp op) {
  reduce(reinterpret_cast<T*>(out), reinterpret_cast<const T* const*>(inputs), count, elements, op);
}

}  // namespace

const char* TypeName(HcclDataType type) {
  switch (type) {
    case abi::kInt8:
      return "int8";
    case abi::kInt16:
      return "int16";
    case abi::kInt32:
      return "int32";
    case abi::kFp16:
      return "fp16";
    case abi::kFp32:
      return "fp32";
    case abi::kInt64:
      return "int64";
    case abi::kUint64:
      return "uint64";
    case abi::kUint8:
      return "uint8";
    case abi::kUint16:
      return "uint16";
    case abi::kUint32:
      return "uint32";
    case abi::kFp64:
      return "fp64";
    case abi::kBfp16:
      return "bf16";
    case abi::kInt128:
      return "int128";
    case abi::kHif8:
      return "hif8";
    case abi::kFp8E4M3:
      return "fp8e4m3";
    case abi::kFp8E5M2:
      return "fp8e5m2";
    case abi::kFp8E8M0:
      return "fp8e8m0";
  }
  return "an unknown type";
}

const char* ReduceName(HcclReduceOp op) {
  switch (op) {
    case abi::kReduceSum:
      return "sum";
    case abi::kReduceProd:
      return "prod";
    case abi::kReduceMax:
      return "max";
    case abi::kReduceMin:
      return "min";
  }
  return "an unknown reduction";
}

size_t TypeBytes(HcclDataType type) {
  switch (type) {
    case abi::kInt8:
    case abi::kUint8:
    case abi::kHif8:
    case abi::kFp8E4M3:
    case abi::kFp8E5M2:
    case abi::kFp8E8M0:
      return 1;
    case abi::kInt16:
    case abi::kUint16:
    case abi::kFp16:
    case abi::kBfp16:
      return 2;
    case abi::kInt32:
    case abi::kUint32:
    case abi::kFp32:
      return 4;
    case abi::kInt64:
    case abi::kUint64:
    case abi::kFp64:
      return 8;
    case abi::kInt128:
      return 16;
  }
  Raise(abi::kHcclPara, "the data type " + std::to_string(type) + " does not exist");
}

// Which types each chip can reduce, according to torch_npu's checkSupportedDataType.
void RequireReducible(HcclDataType type, HcclReduceOp op) {
  if (op < abi::kReduceSum || op > abi::kReduceMin) {
    Raise(abi::kHcclPara, "the reduction " + std::to_string(op) +
                              " does not exist: 0 is sum, 1 prod, 2 max, 3 min");
  }
  switch (type) {
    case abi::kInt8:
    case abi::kInt16:
    case abi::kInt32:
    case abi::kInt64:
    case abi::kFp16:
    case abi::kFp32:
    case abi::kBfp16:
      return;
    case abi::kUint64:
    case abi::kFp64:
      if (std::strncmp(aclrtGetSocName(), "Ascend950", 9) == 0) return;
      break;
    default:
      break;
  }
  TypeBytes(type);  // a number that is no type at all is another error
  Raise(abi::kHcclNotSupport, std::string("HCCL cannot reduce ") + TypeName(type) + " on " +
                                  aclrtGetSocName() +
                                  ": it reduces int8, int16, int32, int64, fp16, fp32 and bf16");
}

void Reduce(std::byte* out, const std::byte* const* inputs, size_t count, size_t elements,
            HcclDataType type, HcclReduceOp op) {
  switch (type) {
    case abi::kInt8:
      return Run(ReduceInt8, out, inputs, count, elements, op);
    case abi::kInt16:
      return Run(ReduceInt16, out, inputs, count, elements, op);
    case abi::kInt32:
      return Run(ReduceInt32, out, inputs, count, elements, op);
    case abi::kInt64:
      return Run(ReduceInt64, out, inputs, count, elements, op);
    case abi::kUint64:
      return Run(ReduceUint64, out, inputs, count, elements, op);
    case abi::kFp16:
      return Run(ReduceFp16, out, inputs, count, elements, op);
    case abi::kBfp16:
      return Run(ReduceBf16, out, inputs, count, elements, op);
    case abi::kFp32:
      return Run(ReduceFp32, out, inputs, count, elements, op);
    case abi::kFp64:
      return Run(ReduceFp64, out, inputs, count, elements, op);
    default:
      Raise(abi::kHcclNotSupport, std::string("no reduction for ") + TypeName(type));
  }
}

}  // namespace ascend_sim::hccl
