// SPDX-License-Identifier: Apache-2.0
//
// Own declarations of libatb's C++ ABI: the layouts, the order of virtual functions and the numeric
// values that op-plugin's libop_plugin_atb was compiled with. They are facts of the ABI; tests that
// run through torch_npu hold them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace atb {

using Status = int32_t;
inline constexpr Status kNoError = 0;
inline constexpr Status kInvalidParam = 1;
inline constexpr Status kInternalError = 3;

// Read only here: the caller fills and destroys it.
template <class T>
struct SVector {
  static constexpr size_t kInline = 64;
  size_t capacity;
  size_t count;
  T local[kInline + 1];
  T* heap;

  const T& operator[](size_t i) const { return heap != nullptr ? heap[i] : local[i]; }
};

struct Dims {
  int64_t dims[8];
  uint64_t dimNum;
};

struct TensorDesc {
  int32_t dtype;
  int32_t format;
  Dims shape;
};

struct Tensor {
  TensorDesc desc;
  void* deviceData;
  void* hostData;
  uint64_t dataSize;
};

struct VariantPack {
  SVector<Tensor> inTensors;
  SVector<Tensor> outTensors;
};

class Context {
 public:
  virtual ~Context() = default;
  virtual Status SetExecuteStream(void* stream) = 0;
  virtual void* GetExecuteStream() const = 0;
  virtual Status SetAsyncTilingCopyStatus(bool enable) = 0;
  virtual bool GetAsyncTilingCopyStatus() const = 0;
};

class Operation {
 public:
  virtual ~Operation() = default;
  virtual std::string GetName() const = 0;
  virtual Status InferShape(const SVector<TensorDesc>& inputs,
                            SVector<TensorDesc>& outputs) const = 0;
  virtual uint32_t GetInputNum() const = 0;
  virtual uint32_t GetOutputNum() const = 0;
  virtual Status Setup(const VariantPack& pack, uint64_t& workspaceSize, Context* context) = 0;
  virtual Status Execute(const VariantPack& pack, uint8_t* workspace, uint64_t workspaceSize,
                         Context* context) = 0;
};

#define ASCEND_SIM_ATB_ABI __attribute__((visibility("default")))

ASCEND_SIM_ATB_ABI Status CreateContext(Context** context);
ASCEND_SIM_ATB_ABI Status DestroyContext(Context* context);
template <class Param>
ASCEND_SIM_ATB_ABI Status CreateOperation(const Param& param, Operation** operation);
ASCEND_SIM_ATB_ABI Status DestroyOperation(Operation* operation);

class Utils {
 public:
  ASCEND_SIM_ATB_ABI static uint64_t GetTensorSize(const Tensor& tensor);
};

// Parameters of operations. `reserved` has the size that later versions may use.
namespace infer {

struct ElewiseParam {
  enum Type : int { kQuantPerChannel = 17 };
  struct Quant {
    float inputScale;
    bool asymmetric;
    int inputOffset;
    uint8_t reserved[20];
  };
  struct Muls {
    float factor;
    uint8_t reserved[12];
  };
  int type;
  Quant quant;
  Muls muls;
  int32_t outDataType;
  uint8_t reserved[8];
};

struct GroupTopkParam {
  enum Measure : uint16_t { kMaximum = 0, kSumOfLargest = 1 };
  int32_t groupNum;
  int32_t k;
  uint16_t measure;
  uint16_t n;
  uint8_t reserved[12];
};

struct LinearParam {
  bool transposeA;
  bool transposeB;
  bool hasBias;
  int32_t outDataType;
  bool accumulate;
  uint8_t reserved[23];
};

struct PagedAttentionParam {
  enum MaskType : int { kNoMask = 0, kAlibi = 2, kSpec = 3, kNormCompress = 5 };
  int32_t headNum;
  float qkScale;
  int32_t kvHeadNum;
  int maskType;
  bool batchRunStatusEnable;
  int quantType;
  int32_t outDataType;
  bool hasQuantOffset;
  int compressType;
  int calcType;
  int scaleType;
  int inputLayout;
  uint32_t mlaVHeadSize;
  uint8_t reserved[68];
};

struct ReshapeAndCacheParam {
  enum KvCacheCfg : int { kKeyAndValue = 0, kKeyOnly = 1, kKeyAndValueNz = 2 };
  int compressType;
  int kvCacheCfg;
  uint8_t reserved[16];
};

struct RmsNormParam {
  enum Layer : int { kNorm = 1 };
  enum Quant : int { kInt8 = 2 };
  struct Norm {
    int quantType;
    float epsilon;
    double layerNormEps;
    bool rstd;
    int precisionMode;
    int modelType;
    int dynamicQuantType;
    uint8_t reserved[32];
  };
  struct Other {
    int quantType;
    float epsilon;
    bool hasBias;
    uint8_t reserved[23];
  };
  int layerType;
  Norm norm;
  Other preNorm, postNorm;
  uint8_t reserved[8];
};

struct RopeParam {
  int32_t rotaryCoeff;
  int32_t cosFormat;
  uint8_t reserved[8];
};

struct SelfAttentionParam {
  enum CalcType : int { kPaEncoder = 3, kPrefixEncoder = 4 };
  enum MaskType : int { kNoMask = 0, kNorm = 1, kAlibi = 2, kNormCompress = 3 };
  int quantType;
  int32_t outDataType;
  int32_t headNum;
  int32_t kvHeadNum;
  float qScale;
  float qkScale;
  bool batchRunStatusEnable;
  uint32_t isTriuMask;
  int calcType;
  int kernelType;
  int clampType;
  float clampMin;
  float clampMax;
  int maskType;
  int kvcacheCfg;
  int scaleType;
  int inputLayout;
  uint32_t mlaVHeadSize;
  int8_t cacheType;
  uint32_t windowSize;
  uint8_t reserved[64];
};

}  // namespace infer
}  // namespace atb
