// SPDX-License-Identifier: Apache-2.0
#include "function_slot.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace ascend_xlite_bridge {
namespace {

#if defined(__x86_64__)
constexpr uint64_t kJumpSlot = R_X86_64_JUMP_SLOT;
#elif defined(__aarch64__)
constexpr uint64_t kJumpSlot = R_AARCH64_JUMP_SLOT;
#else
#error "xlite has no wheel for this processor"
#endif

std::vector<void**> PlacesOf(const link_map& library, const std::string& symbol) {
  const ElfW(Rela)* relocations = nullptr;
  std::size_t bytes = 0;
  const ElfW(Sym)* symbols = nullptr;
  const char* names = nullptr;
  for (const ElfW(Dyn)* entry = library.l_ld; entry->d_tag != DT_NULL; ++entry) {
    switch (entry->d_tag) {
      case DT_JMPREL:
        relocations = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
        break;
      case DT_PLTRELSZ:
        bytes = entry->d_un.d_val;
        break;
      case DT_SYMTAB:
        symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr);
        break;
      case DT_STRTAB:
        names = reinterpret_cast<const char*>(entry->d_un.d_ptr);
        break;
    }
  }
  std::vector<void**> places;
  if (!relocations || !symbols || !names) return places;
  for (std::size_t i = 0; i < bytes / sizeof *relocations; ++i) {
    const uint64_t info = relocations[i].r_info;
    if (ELF64_R_TYPE(info) != kJumpSlot) continue;
    if (symbol != names + symbols[ELF64_R_SYM(info)].st_name) continue;
    places.push_back(reinterpret_cast<void**>(library.l_addr + relocations[i].r_offset));
  }
  return places;
}

struct Question {
  ElfW(Addr) base;
  ElfW(Addr) address;
  bool writable = false;
};

int Answer(dl_phdr_info* object, std::size_t, void* data) {
  auto& question = *static_cast<Question*>(data);
  if (object->dlpi_addr != question.base) return 0;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr) & part = object->dlpi_phdr[i];
    const ElfW(Addr) start = question.base + part.p_vaddr;
    if (question.address < start || question.address >= start + part.p_memsz) continue;
    if (part.p_type == PT_LOAD) question.writable = part.p_flags & PF_W;
    if (part.p_type == PT_GNU_RELRO) {  // made read-only once the library was loaded
      question.writable = false;
      break;
    }
  }
  return 1;
}

}  // namespace

FunctionSlot::FunctionSlot(void* library, const std::string& symbol) {
  original_ = dlsym(library, symbol.c_str());
  if (!original_) throw std::runtime_error("no library defines " + symbol);
  link_map* map = nullptr;
  if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0) throw std::runtime_error(dlerror());
  const std::vector<void**> places = PlacesOf(*map, symbol);
  if (places.size() != 1) {
    throw std::runtime_error("it calls " + symbol + " from " + std::to_string(places.size()) +
                             " places, not from one");
  }
  Question question{map->l_addr, reinterpret_cast<ElfW(Addr)>(places[0])};
  dl_iterate_phdr(&Answer, &question);
  if (!question.writable) throw std::runtime_error("its calls of " + symbol + " cannot be changed");
  place_ = places[0];
}

void FunctionSlot::Replace(void* function) {
  std::atomic_ref<void*>(*place_).store(function, std::memory_order_release);
}

}  // namespace ascend_xlite_bridge
