// SPDX-License-Identifier: Apache-2.0
//
// How an operator is declared: once, as a typed C++ function, from which the pair of C functions of
// the aclnn ABI is derived.
//
//   ACLNN_OP(aclnnAdd,
//            (const Tensor& self, const Tensor& other, const Scalar& alpha, Tensor& out)) {
//     at::add_out(out, self, other, alpha);
//   }
//
// exports
//
//   int aclnnAddGetWorkspaceSize(  // first phase
//       const aclTensor*, const aclTensor*, const aclScalar*, const aclTensor*,
//       uint64_t* workspace_size, aclOpExecutor** executor);
//   int aclnnAdd(  // second phase
//       void* workspace, uint64_t, aclOpExecutor*, void* stream);
//
// The first phase turns handles into tensors and values that the executor owns; the second puts the
// body on the stream, where it may run any number of times (once per replay of a captured graph).
//
// ACLNN_PLANNED_OP declares an operator in two steps: its body runs in the first phase, where it
// checks its arguments (a thrown error is the caller's at once) and returns the function that the
// stream is to run.
//
// ACLNN_COMMUNICATING_OP is one of these whose function waits for other ranks (rank_group.h).
//
// Parameters of a body and what they are in C (`Crossing` below):
//
//   const Tensor&, Tensor&        const aclTensor*        required input, required output
//   const OptTensor&, OptTensor&  const aclTensor*        may be null
//   ShapedTensor&                 aclTensor*              output whose shape the body decides
//   const Scalar&, OptScalar      const aclScalar*
//   const Ints&, const OptInts&   const aclIntArray*      likewise Floats, Bools
//   const FormattedTensor&        const aclTensor*        may be in FRACTAL_NZ (format.h)
//   const Scalars&                const aclScalarList*
//   const Tensors&                const aclTensorList*    a null element is an undefined tensor
//   const OptTensors&             const aclTensorList*    may be null
//   const FormattedTensors&       const aclTensorList*    each may be in FRACTAL_NZ
//   const std::string&            const char*             null is the empty string
//   DType                         aclDataType             -1 is "none"
//   bool, int, int8_t, int64_t, float, double             the same
#pragma once

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "ascend_sim/call.h"
#include "opapi/abi/check.h"
#include "opapi/abi/format.h"
#include "opapi/abi/record.h"
#include "opapi/abi/tensor.h"
#include "opapi/base/arguments.h"
#include "opapi/base/list.h"
#ifdef ASCEND_SIM_MUTATE
#include "opapi/mutate/mutate.h"
#endif

// What the first phase prepared: a body with its arguments. Consumed by the second phase unless
// repeatable.
struct aclOpExecutor : ascend_sim::opapi::Handle<ascend_sim::opapi::HandleTag::kExecutor> {
  const char* name = nullptr;
  std::function<void()> run;
  std::shared_ptr<const ascend_sim::Touches> touches;  // null unless wanted
  bool repeatable = false;
  bool waits = false;  // for other ranks
};

namespace ascend_sim::opapi {

using at::Scalar;
using at::Tensor;
using OptTensor = std::optional<at::Tensor>;
using OptScalar = std::optional<at::Scalar>;
using Ints = List<int64_t>;
using OptInts = std::optional<Ints>;
using Floats = List<float>;
using OptFloats = std::optional<Floats>;
using Bools = List<bool>;
using OptBools = std::optional<Bools>;
using Scalars = List<at::Scalar>;
using Tensors = List<at::Tensor>;
using OptTensors = std::optional<Tensors>;
using Work = std::function<void()>;
struct Communication {  // work that waits for other ranks
  Work run;
};

// An aclDataType passed by value.
struct DType {
  int32_t code = -1;
  std::optional<at::ScalarType> get() const {
    return code == -1 ? std::nullopt : std::optional(ScalarTypeOf(code));
  }
  at::ScalarType or_of(const Tensor& tensor) const { return get().value_or(tensor.scalar_type()); }
};

// An output with a data-dependent shape: the caller allocates the largest it can be, the body
// writes the first part and says how much. The caller synchronizes the stream, then reads the shape
// from the same handle.
class ShapedTensor {
 public:
  explicit ShapedTensor(aclTensor& handle) : capacity(ViewOf(handle)), handle_(&handle) {}
  explicit ShapedTensor(Tensor memory) : capacity(std::move(memory)) {}  // whose shape nobody reads

  // Stores `value` contiguously at the start of the output and makes its shape the output's.
  void Store(const Tensor& value);

  const Tensor capacity;

 private:
  aclTensor* handle_ = nullptr;
};

// Crossing<T>: the C type of a parameter, its name in descriptions of signatures, and the value
// made from it in the first phase.
template <class T>
struct Crossing {
  static_assert(std::is_arithmetic_v<T>, "no rule for passing this type through the C ABI");
  static constexpr const char* kKind = std::is_same_v<T, bool>      ? "bool"
                                       : std::is_same_v<T, double>  ? "double"
                                       : std::is_same_v<T, float>   ? "float"
                                       : std::is_same_v<T, int64_t> ? "int64"
                                       : std::is_same_v<T, int8_t>  ? "int8"
                                                                    : "int32";
  using C = T;
  static T Take(T value, size_t) { return value; }
};

inline std::string ArgumentName(size_t index) { return "argument " + std::to_string(index); }

template <class H>
inline constexpr const char* kHandleKind = nullptr;
template <>
inline constexpr const char* kHandleKind<aclTensor> = "tensor";
template <>
inline constexpr const char* kHandleKind<aclScalar> = "scalar";
template <>
inline constexpr const char* kHandleKind<aclIntArray> = "ints";
template <>
inline constexpr const char* kHandleKind<aclFloatArray> = "floats";
template <>
inline constexpr const char* kHandleKind<aclBoolArray> = "bools";
template <>
inline constexpr const char* kHandleKind<aclScalarList> = "scalars";
template <>
inline constexpr const char* kHandleKind<aclTensorList> = "tensors";

template <class H, class T, class Convert>
struct RequiredHandle {
  static constexpr const char* kKind = kHandleKind<H>;
  using C = const H*;
  [[gnu::noinline]] static T Take(C handle, size_t index) {
    if (!H::IsAlive(handle)) [[unlikely]] {
      Alive(handle, ArgumentName(index).c_str());
    }
    return Convert{}(*handle);
  }
};

template <class H, class T, class Convert>
struct OptionalHandle {
  static constexpr const char* kKind = kHandleKind<H>;
  using C = const H*;
  [[gnu::noinline]] static std::optional<T> Take(C handle, size_t index) {
    if (handle == nullptr) return std::nullopt;
    return RequiredHandle<H, T, Convert>::Take(handle, index);
  }
};

struct ToTensor {
  Tensor operator()(const aclTensor& handle) const { return ViewOf(handle); }
};
struct ToFormattedTensor {
  FormattedTensor operator()(const aclTensor& handle) const { return FormattedTensor(handle); }
};
struct ToFormattedTensors {
  FormattedTensors operator()(const aclTensorList& handle) const;
};
struct ToScalar {
  Scalar operator()(const aclScalar& handle) const { return handle.value; }
};
struct ToValues {
  template <class H>
  auto operator()(const H& handle) const {
    return handle.values;
  }
};
struct ToScalars {
  Scalars operator()(const aclScalarList& handle) const;
};
struct ToTensors {
  Tensors operator()(const aclTensorList& handle) const;
};

template <>
struct Crossing<Tensor> : RequiredHandle<aclTensor, Tensor, ToTensor> {};
template <>
struct Crossing<OptTensor> : OptionalHandle<aclTensor, Tensor, ToTensor> {};
template <>
struct Crossing<FormattedTensor> : RequiredHandle<aclTensor, FormattedTensor, ToFormattedTensor> {};
template <>
struct Crossing<FormattedTensors>
    : RequiredHandle<aclTensorList, FormattedTensors, ToFormattedTensors> {};
template <>
struct Crossing<Scalar> : RequiredHandle<aclScalar, Scalar, ToScalar> {};
template <>
struct Crossing<OptScalar> : OptionalHandle<aclScalar, Scalar, ToScalar> {};
template <>
struct Crossing<Ints> : RequiredHandle<aclIntArray, Ints, ToValues> {};
template <>
struct Crossing<OptInts> : OptionalHandle<aclIntArray, Ints, ToValues> {};
template <>
struct Crossing<Floats> : RequiredHandle<aclFloatArray, Floats, ToValues> {};
template <>
struct Crossing<OptFloats> : OptionalHandle<aclFloatArray, Floats, ToValues> {};
template <>
struct Crossing<Bools> : RequiredHandle<aclBoolArray, Bools, ToValues> {};
template <>
struct Crossing<OptBools> : OptionalHandle<aclBoolArray, Bools, ToValues> {};
template <>
struct Crossing<Scalars> : RequiredHandle<aclScalarList, Scalars, ToScalars> {};
template <>
struct Crossing<Tensors> : RequiredHandle<aclTensorList, Tensors, ToTensors> {};
template <>
struct Crossing<OptTensors> : OptionalHandle<aclTensorList, Tensors, ToTensors> {};

template <>
struct Crossing<ShapedTensor> {
  static constexpr const char* kKind = kHandleKind<aclTensor>;
  using C = aclTensor*;
  static ShapedTensor Take(C handle, size_t index) {
    Alive(handle, ArgumentName(index).c_str());
    return ShapedTensor(*handle);
  }
};

template <>
struct Crossing<std::string> {
  static constexpr const char* kKind = "text";
  using C = const char*;
  static std::string Take(C text, size_t) {
    return text == nullptr ? std::string() : std::string(text);
  }
};

template <>
struct Crossing<DType> {
  static constexpr const char* kKind = "int32";
  using C = int32_t;
  static DType Take(C code, size_t) { return {code}; }
};

// The C side shared by all operators. Neither throws.
int FinishPrepare(const char* name, Work run, bool waits, Touches touches, uint64_t* workspace_size,
                  aclOpExecutor** executor) noexcept;
int LaunchExecutor(const char* name, aclOpExecutor* executor, void* stream) noexcept;
// Inside a catch block: reports the current exception.
ASCEND_SIM_EXPORT int FailPrepare(const char* name) noexcept;

// Puts a function on ATen tensors on the stream. `name` has static storage. Does not throw.
ASCEND_SIM_EXPORT int LaunchKernel(const char* name, Work body, Touches touches,
                                   void* stream) noexcept;

// Records an operator and the kinds of its arguments for ascendSimDescribeOperators.
bool RegisterOperator(const char* name, std::initializer_list<const char*> kinds);

// Notes what the body does with a parameter of type `Param`: it may write what it gets by a
// reference that is not const. The range of a tensor goes from its first to its last element, gaps
// included.
ASCEND_SIM_EXPORT void AddTouch(Touches& touches, const Tensor& tensor, bool write);

template <class Param>
void TouchParam(Touches& touches, const std::decay_t<Param>& value) {
  using Value = std::decay_t<Param>;
  constexpr bool kWrite =
      std::is_lvalue_reference_v<Param> && !std::is_const_v<std::remove_reference_t<Param>>;
  if constexpr (std::is_same_v<Value, Tensor>) {
    AddTouch(touches, value, kWrite);
  } else if constexpr (std::is_same_v<Value, FormattedTensor>) {
    AddTouch(touches, value.storage(), kWrite);
  } else if constexpr (std::is_same_v<Value, FormattedTensors>) {
    for (const auto& tensor : value) AddTouch(touches, tensor.storage(), kWrite);
  } else if constexpr (std::is_same_v<Value, ShapedTensor>) {
    AddTouch(touches, value.capacity, kWrite);
  } else if constexpr (std::is_same_v<Value, OptTensor>) {
    if (value) AddTouch(touches, *value, kWrite);
  } else if constexpr (std::is_same_v<Value, Tensors>) {
    for (const Tensor& tensor : value) AddTouch(touches, tensor, kWrite);
  } else if constexpr (std::is_same_v<Value, OptTensors>) {
    if (value) TouchParam<std::conditional_t<kWrite, Tensors&, const Tensors&>>(touches, *value);
  }
}

// Copies of the arguments with blank tensors.
FormattedTensor Blank(const FormattedTensor& value);
inline ShapedTensor Blank(const ShapedTensor& value) { return ShapedTensor(Blank(value.capacity)); }
template <class T>
T Blank(const T& value) {
  return value;
}
template <class T>
List<T> Blank(const List<T>& values) {
  List<T> blanks;
  blanks.reserve(values.size());
  for (const auto& value : values) blanks.push_back(Blank(value));
  return blanks;
}
template <class T>
std::optional<T> Blank(const std::optional<T>& value) {
  return value ? std::optional<T>(Blank(*value)) : std::nullopt;
}

// What the code that all operators share does with a parameter of one type.
struct Parameter {
  LimitedArgument (*limited)(const void* value);
  void (*touch)(Touches& touches, const void* value);
};
template <class Param>
inline constexpr Parameter kParameter{
    [](const void* value) { return Limited(*static_cast<const std::decay_t<Param>*>(value)); },
    [](Touches& touches, const void* value) {
      TouchParam<Param>(touches, *static_cast<const std::decay_t<Param>*>(value));
    }};

struct PassedArgument {
  const Parameter* parameter;
  const void* value;
};

// Checks the arguments by the rules of their operator (ParamError), and returns the memory that the
// operator touches, if that is wanted.
Touches Inspect(const Rules& rules, std::span<const PassedArgument> arguments);

// The body of an operator with its arguments.
class BoundBody {
 public:
  virtual ~BoundBody() = default;
  virtual void Run() = 0;
  virtual void Rehearse() = 0;  // on blank arguments
};

// Runs a body. When it fails, its rehearsal tells why: if that fails too the arguments do not fit
// together (Refusal), otherwise it is for what memory holds, such as an index.
Work RunOrRefuse(std::unique_ptr<BoundBody> body);

template <size_t kLength>
struct Name {
  char text[kLength];
  constexpr Name(const char (&literal)[kLength]) { std::copy_n(literal, kLength, text); }
};

// The name of the first phase of an operator.
template <Name kName>
inline constexpr auto kPhaseName = [] {
  constexpr char kSuffix[] = "GetWorkspaceSize";
  char text[sizeof kName.text + sizeof kSuffix - 1];
  std::copy_n(kSuffix, sizeof kSuffix, std::copy_n(kName.text, sizeof kName.text - 1, text));
  return Name(text);
}();

// What distinguishes operators of one signature.
template <class Result, class... Params>
struct Operator {
  const char* name;
  const char* phase_name;
  Result (*body)(Params...);
  const Rules& (*rules)();
};

// The code of the first phase, which operators of one signature share: compiled once for each
// signature, not for each operator. What can be independent of the signature is in functions that
// take it as data: there are hundreds.
template <class Result, class... Params>
class FirstPhase {
 public:
  using Values = Arguments<std::decay_t<Params>...>;
  using Body = Result (*)(Params...);

  static int Prepare(const Operator<Result, Params...>& op,
                     typename Crossing<std::decay_t<Params>>::C... handles,
                     uint64_t* workspace_size, aclOpExecutor** executor) noexcept {
    return Call(op.phase_name,
                [&]() noexcept { return PrepareNow(op, handles..., workspace_size, executor); });
  }

 private:
  static int PrepareNow(const Operator<Result, Params...>& op,
                        typename Crossing<std::decay_t<Params>>::C... handles,
                        uint64_t* workspace_size, aclOpExecutor** executor) noexcept {
    constexpr bool kWaits = std::is_same_v<Result, Communication>;
    try {
      c10::InferenceMode guard;
      size_t index = 0;
      Values arguments{{Crossing<std::decay_t<Params>>::Take(handles, index++)}...};
      Touches touches = Inspect(op.rules(), arguments.Apply([](const auto&... values) {
        return std::array<PassedArgument, sizeof...(Params)>{
            PassedArgument{&kParameter<Params>, &values}...};
      }));
#ifdef ASCEND_SIM_MUTATE
      Mutate(op.name, arguments);
#endif
      const int status = FinishPrepare(op.name, WorkOf(op.body, std::move(arguments)), kWaits,
                                       std::move(touches), workspace_size, executor);
      if (Recording()) [[unlikely]]
        RecordHandles(op.name, handles...);
      return status;
    } catch (...) {
      return FailPrepare(op.name);
    }
  }

  // With the work that the body planned, if it plans.
  struct Bound final : BoundBody {
    Bound(Body body, Values values) : body(body), arguments(std::move(values)) {
      if constexpr (!std::is_void_v<Result>) planned = arguments.Apply(body);
    }
    void Run() override {
      if constexpr (std::is_void_v<Result>) {
        arguments.Apply(body);
      } else {
        planned();
      }
    }
    void Rehearse() override {
      auto blanks =
          arguments.Apply([](const auto&... values) { return Values{{Blank(values)}...}; });
      if constexpr (std::is_void_v<Result>) {
        blanks.Apply(body);
      } else {
        blanks.Apply(body)();
      }
    }

    const Body body;
    Values arguments;
    Work planned;
  };

  static Work WorkOf(Body body, Values arguments) {
    if constexpr (std::is_same_v<Result, Communication>) {
      return arguments.Apply(body).run;
    } else {
      return RunOrRefuse(std::make_unique<Bound>(body, std::move(arguments)));
    }
  }
};

template <auto kBody, Name kName>
struct Op;

template <class Result, class... Params, Result (*kBody)(Params...), Name kName>
struct Op<kBody, kName> {
  // The first phase. Its type is the C signature of the operator.
  static int Prepare(typename Crossing<std::decay_t<Params>>::C... handles,
                     uint64_t* workspace_size, aclOpExecutor** executor) noexcept {
    static constexpr Operator<Result, Params...> kOperator{kName.text, kPhaseName<kName>.text,
                                                           kBody, &RulesOf};
    return FirstPhase<Result, Params...>::Prepare(kOperator, handles..., workspace_size, executor);
  }

  static bool Register() {
    return RegisterOperator(kName.text, {Crossing<std::decay_t<Params>>::kKind...});
  }

 private:
  static const Rules& RulesOf() {
    static const Rules rules(kName.text);
    return rules;
  }
};

}  // namespace ascend_sim::opapi

// The first phase is a template instance under a C name: an indirect function (GNU ifunc) binds the
// two, with the C signature deduced, on every architecture that glibc knows. Plain aliases would
// need its mangled name.
#define ACLNN_BIND_PREPARE(symbol, instance)                                            \
  extern "C" {                                                                          \
  static decltype(&instance::Prepare) symbol##_resolve() { return &instance::Prepare; } \
  [[gnu::visibility("default"),                                                         \
    gnu::ifunc(#symbol "_resolve")]] decltype(instance::Prepare) symbol;                \
  }

#define ACLNN_DECLARE_(result, name, params)                                                   \
  static result name##_body params;                                                            \
  using name##_op = ::ascend_sim::opapi::Op<name##_body, #name>;                               \
  [[maybe_unused]] static const bool name##_registered = name##_op::Register();                \
  ACLNN_BIND_PREPARE(name##GetWorkspaceSize, name##_op)                                        \
  extern "C" [[gnu::visibility("default")]] int name(void*, uint64_t, aclOpExecutor* executor, \
                                                     void* stream) {                           \
    return ::ascend_sim::opapi::LaunchExecutor(#name, executor, stream);                       \
  }                                                                                            \
  static result name##_body params

#define ACLNN_OP(name, params) ACLNN_DECLARE_(void, name, params)
#define ACLNN_PLANNED_OP(name, params) ACLNN_DECLARE_(::ascend_sim::opapi::Work, name, params)
#define ACLNN_COMMUNICATING_OP(name, params) \
  ACLNN_DECLARE_(::ascend_sim::opapi::Communication, name, params)
