/* SPDX-License-Identifier: Apache-2.0 */
/* A host library as Ascend C's compiler makes it, with both generations of stubs. IMAGE is the file with
   the container of its one device binary, whose kernels are launched below. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__asm__(".section .ascend.kernel.ascend910b3.test,\"aw\"\n"
        ".balign 4\n"
        ".globl kernel_image\n"
        "kernel_image: .incbin \"" IMAGE "\"\n"
        ".previous\n");
extern const uint8_t kernel_image[];

static const uint8_t* elf(void) { return kernel_image + 8 + 12; }
static uint32_t elf_bytes(void) { return ((const uint32_t*)kernel_image)[4]; }

/* ---- CANN 8 ---- */
struct device_binary {
  uint32_t magic, version;
  const void* data;
  uint64_t bytes;
};
struct launch_arguments {
  const void *block, *host_inputs;
  uint32_t bytes, reserved[5];
};
extern int rtRegisterAllKernel(const struct device_binary*, void**);
extern int rtDevBinaryUnRegister(void*);
extern int rtKernelLaunchWithHandle(void*, uint64_t, uint32_t, const struct launch_arguments*,
                                    const void*, void*, const void*);
extern int rtGetC2cCtrlAddr(uint64_t*, uint32_t*);
extern int MsprofRegisterCallback(uint32_t, const void*);

static void* handle;
int unregistered = -1;

__attribute__((constructor)) static void load(void) {
  struct device_binary binary = {0x41415246, 0, elf(), elf_bytes()};
  rtRegisterAllKernel(&binary, &handle);
  MsprofRegisterCallback(0x45, NULL);
}

int unload(void) { return rtDevBinaryUnRegister(handle); }
__attribute__((destructor)) static void at_exit(void) { rtDevBinaryUnRegister(handle); }

static int launch_rt(uint64_t key, void* stream, const void* block, uint32_t bytes) {
  struct launch_arguments arguments = {block, NULL, bytes, {0}};
  return rtKernelLaunchWithHandle(handle, key, 8, &arguments, NULL, stream, NULL);
}

/* ---- CANN 9 ---- */
struct load_option {
  int32_t type;
  uint32_t value[4];
};
struct load_options {
  const struct load_option* options;
  size_t number;
};
extern int aclrtBinaryLoadFromData(const void*, size_t, const struct load_options*, void**);
extern int aclrtBinaryGetFunctionByEntry(void*, uint64_t, void**);
extern int aclrtLaunchKernelWithHostArgs(void*, uint32_t, void*, const void*, const void*, size_t,
                                         const void*, size_t);
extern int aclrtGetHardwareSyncAddr(void**);

static int launch_acl(uint64_t key, void* stream, const void* block, uint32_t bytes) {
  static void* binary;
  void* function;
  struct load_option each[] = {{2, {0x41415246}}, {1, {1}}};
  struct load_options options = {each, 2};
  int code = binary ? 0 : aclrtBinaryLoadFromData(elf(), elf_bytes(), &options, &binary);
  if (code == 0) code = aclrtBinaryGetFunctionByEntry(binary, key, &function);
  if (code != 0) return code;
  return aclrtLaunchKernelWithHostArgs(function, 8, stream, NULL, block, bytes, NULL, 0);
}

/* ---- the kernels ---- */
static int launch(bool newer, uint64_t key, void* stream, const void* block, uint32_t bytes) {
  return newer ? launch_acl(key, stream, block, bytes) : launch_rt(key, stream, block, bytes);
}

/* __global__ void add_vectors(float* x, float* y, float* z, uint32_t count), key 0 */
int launch_add_vectors(bool newer, void* stream, void* x, void* y, void* z, uint32_t count) {
  struct {
    void *x, *y, *z;
    uint32_t count, room;
    uint64_t overflow;
  } block = {x, y, z, count, 0, 0};
  return launch(newer, 0, stream, &block, sizeof block);
}

/* __global__ void every_type(uint64_t* out, bool, uint16_t, int8_t, double, float, int64_t), key 7, of both
   kinds of cores */
int launch_every_type(bool newer, void* stream, void* out, bool flag, uint16_t narrow, int8_t tiny,
                      double wide, float real, int64_t whole) {
  uint32_t length;
  struct {
    void *signals, *out;
    _Alignas(4) bool flag;
    _Alignas(4) uint16_t narrow;
    _Alignas(4) int8_t tiny;
    double wide;
    float real;
    int64_t whole;
    uint64_t overflow;
  } block = {NULL, out, flag, narrow, tiny, wide, real, whole, 0};
  int code = newer ? aclrtGetHardwareSyncAddr(&block.signals)
                   : rtGetC2cCtrlAddr((uint64_t*)&block.signals, &length);
  if (code != 0 || block.signals == NULL) return -1;
  return launch(newer, 7, stream, &block, sizeof block);
}

/* Of any kernel, with a block of any size. */
int launch_raw(bool newer, uint64_t key, void* stream, const void* block, uint32_t bytes) {
  return launch(newer, key, stream, block, bytes);
}
