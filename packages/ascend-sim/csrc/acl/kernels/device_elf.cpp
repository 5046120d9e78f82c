// SPDX-License-Identifier: Apache-2.0
#include "acl/kernels/device_elf.h"

#include <elf.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <string_view>
#include <type_traits>

#include "acl/base/error.h"

namespace ascend_sim {
namespace {

[[noreturn]] void Refuse(const std::string& what) {
  Raise(kRtParamInvalid, "the device binary " + what);
}

// Bytes of the file, from which only what is there can be read.
class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> bytes) : bytes_(bytes) {}

  // Copied, because hosts embed binaries at an alignment of 4.
  template <class T>
  T At(uint64_t offset) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, Part(offset, sizeof value).data(), sizeof value);
    return value;
  }

  std::span<const std::byte> Part(uint64_t offset, uint64_t count) const {
    if (offset > bytes_.size() || count > bytes_.size() - offset) {
      Refuse("has " + std::to_string(bytes_.size()) + " bytes and refers to " +
             std::to_string(count) + " at " + std::to_string(offset));
    }
    return bytes_.subspan(offset, count);
  }

  std::string_view Text(uint64_t offset) const {
    const auto rest = Part(offset, bytes_.size() - std::min<uint64_t>(offset, bytes_.size()));
    const auto* begin = reinterpret_cast<const char*>(rest.data());
    const size_t length = strnlen(begin, rest.size());
    if (length == rest.size()) Refuse("has a name that does not end");
    return {begin, length};
  }

 private:
  std::span<const std::byte> bytes_;
};

bool TakeTail(std::string_view& text, std::string_view tail) {
  if (!text.ends_with(tail)) return false;
  text.remove_suffix(tail.size());
  return true;
}

// NAME_KEY, and NAME_KEY_mix_aic or NAME_KEY_mix_aiv of a kernel for both kinds of cores. Compilers
// of other languages leave the key out.
DeviceKernel ParseSymbol(std::string_view symbol) {
  DeviceKernel kernel;
  kernel.mixed = TakeTail(symbol, "_mix_aic") || TakeTail(symbol, "_mix_aiv");
  kernel.symbol = kernel.name = symbol;
  const size_t cut = symbol.rfind('_');
  if (cut == 0 || cut == std::string_view::npos) return kernel;
  uint64_t key = 0;
  const char* const end = symbol.data() + symbol.size();
  const auto [parsed, error] = std::from_chars(symbol.data() + cut + 1, end, key);
  if (error == std::errc() && parsed == end) {
    kernel.name = symbol.substr(0, cut);
    kernel.key = key;
  }
  return kernel;
}

class Reader {
 public:
  explicit Reader(std::span<const std::byte> elf) : file_(elf) {
    const auto header = file_.At<Elf64_Ehdr>(0);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
      Refuse("is not a 64-bit little-endian ELF file");
    }
    if (header.e_shnum != 0 && header.e_shentsize != sizeof(Elf64_Shdr)) {
      Refuse("has section headers of " + std::to_string(header.e_shentsize) + " bytes");
    }
    relocatable_ = header.e_type == ET_REL;
    names_ = header.e_shstrndx;
    file_.Part(header.e_shoff, uint64_t{header.e_shnum} * sizeof(Elf64_Shdr));
    for (uint64_t i = 0; i < header.e_shnum; ++i) {
      sections_.push_back(file_.At<Elf64_Shdr>(header.e_shoff + i * sizeof(Elf64_Shdr)));
    }
  }

  std::vector<DeviceKernel> Kernels() {
    for (const Elf64_Shdr& section : sections_) {
      if (section.sh_type == SHT_SYMTAB) ReadSymbols(section);
    }
    std::vector<DeviceKernel> kernels;
    for (const std::string& symbol : functions_) {
      DeviceKernel kernel = ParseSymbol(symbol);
      const auto bytes = block_bytes_.find(symbol);
      if (bytes != block_bytes_.end()) kernel.block_bytes = bytes->second;
      Insert(kernels, std::move(kernel));
    }
    return kernels;
  }

 private:
  const Elf64_Shdr& Section(uint64_t index) const {
    if (index >= sections_.size()) Refuse("refers to section " + std::to_string(index));
    return sections_[index];
  }

  void ReadSymbols(const Elf64_Shdr& table) {
    const Elf64_Shdr& names = Section(table.sh_link);
    const Bytes symbols(file_.Part(table.sh_offset, table.sh_size));
    const Bytes strings(file_.Part(names.sh_offset, names.sh_size));
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = symbols.At<Elf64_Sym>(at);
      ReadSymbol(symbol, strings.Text(symbol.st_name));
    }
  }

  void ReadSymbol(const Elf64_Sym& symbol, std::string_view name) {
    const int type = ELF64_ST_TYPE(symbol.st_info);
    if (type == STT_OBJECT && TakeTail(name, "__")) {
      ReadBlockBytes(symbol, name);
    } else if (type == STT_FUNC && ELF64_ST_BIND(symbol.st_info) == STB_GLOBAL) {
      functions_.emplace_back(name);  // weak ones are instances of templates
    }
  }

  // An object SYMBOL__ of this section is the size of the argument block of the kernel SYMBOL.
  void ReadBlockBytes(const Elf64_Sym& object, std::string_view kernel) {
    if (object.st_shndx == SHN_UNDEF || object.st_shndx >= SHN_LORESERVE) return;
    const Elf64_Shdr& section = Section(object.st_shndx);
    const Elf64_Shdr& names = Section(names_);
    const Bytes strings(file_.Part(names.sh_offset, names.sh_size));
    if (strings.Text(section.sh_name) != "__CCE_KernelArgSize") return;
    const Bytes sizes(file_.Part(section.sh_offset, section.sh_size));
    const uint64_t at = object.st_value - (relocatable_ ? 0 : section.sh_addr);
    block_bytes_.insert_or_assign(std::string(kernel), sizes.At<uint32_t>(at));
  }

  // The halves of a mixed kernel have one symbol but for their ends.
  static void Insert(std::vector<DeviceKernel>& kernels, DeviceKernel kernel) {
    for (const DeviceKernel& other : kernels) {
      if (other.symbol == kernel.symbol) return;
      if (kernel.key && other.key == kernel.key) {
        Refuse("has two kernels with the key " + std::to_string(*kernel.key) + ": " + other.name +
               " and " + kernel.name);
      }
    }
    kernels.push_back(std::move(kernel));
  }

  const Bytes file_;
  bool relocatable_ = false;
  std::vector<Elf64_Shdr> sections_;
  uint64_t names_ = 0;                           // the section with the names of sections
  std::vector<std::string> functions_;           // their symbols
  std::map<std::string, uint32_t> block_bytes_;  // by symbol
};

}  // namespace

std::vector<DeviceKernel> ReadKernels(std::span<const std::byte> elf) {
  return Reader(elf).Kernels();
}

}  // namespace ascend_sim
