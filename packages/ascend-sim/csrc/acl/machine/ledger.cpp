// SPDX-License-Identifier: Apache-2.0
#include "acl/machine/ledger.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/base/soc.h"
#include "ascend_sim/process.h"

namespace ascend_sim {
namespace {

constexpr const char* kVariable = "ASCEND_SIM_LEDGER";
constexpr char kMagic[8] = {'A', 'S', 'I', 'M', 'L', 'D', 'G', '1'};
constexpr size_t kMaxDevices = 64;
constexpr size_t kMaxProcesses = 256;
constexpr size_t kMaxTenants = 16;
// The driver's; not documented.
constexpr int64_t kModelIds = 32768;

using Amounts = int64_t[kMaxDevices][kResources];

int64_t NowMs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// All that processes must agree on.
std::string Identity(const Config& config) {
  return "devices=" + std::to_string(config.devices) + " soc=" + config.soc +
         " hbm_bytes=" + std::to_string(config.hbm_bytes) +
         " streams=" + std::to_string(config.streams) + " events=" + std::to_string(config.events) +
         " tenants=" + config.tenants;
}

[[noreturn]] void Reject(const std::string& why) {
  Raise(kInvalidParam, std::string(kVariable) + ": " + why);
}

}  // namespace

// What one process, or one tenant, holds.
struct Ledger::Row {
  int64_t pid;  // 0: free
  uint64_t start;
  Amounts used;
};

// The file. The version in it is that of the whole package: another one may count otherwise.
struct Ledger::Book {
  char magic[8];
  char version[32];
  char identity[1024];
  int64_t devices;
  int64_t limits[kResources];
  pthread_mutex_t mutex;
  // Guarded by the mutex:
  int64_t first_use_ms;  // 0 before
  int64_t rows_used;     // rows from here on were never used
  int64_t tenants;
  int64_t tenant_steps[kMaxTenants];  // done
  Row tenant_rows[kMaxTenants];
  Row rows[kMaxProcesses];
};

// A process that died in here left nothing half done: rows change word by word, and whatever it
// took is given back with its row.
class Ledger::Lock {
 public:
  explicit Lock(Book& book) : mutex_(book.mutex) {
    if (pthread_mutex_lock(&mutex_) == EOWNERDEAD) pthread_mutex_consistent(&mutex_);
  }
  ~Lock() { pthread_mutex_unlock(&mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

void Ledger::Format(int file, const Config& config) {
  const std::string identity = Identity(config);
  const std::vector<Tenant> tenants = ParseTenants(config.tenants);
  Require(identity.size() < sizeof Book::identity && tenants.size() <= kMaxTenants, kInvalidParam,
          "tenants: at most 16, in at most 900 characters");
  if (ftruncate(file, sizeof(Book)) != 0) {
    Reject(std::string("cannot make a ledger: ") + std::strerror(errno));
  }
  void* memory = mmap(nullptr, sizeof(Book), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  Book& book = *static_cast<Book*>(memory);
  std::strcpy(book.version, ASCEND_SIM_VERSION);
  std::strcpy(book.identity, identity.c_str());
  book.devices = config.devices;
  const SocFamily& family = *FindSoc(config.soc)->family;
  const int64_t limits[kResources] = {config.streams,  family.stream_ids, config.events,
                                      family.notifies, kModelIds,         config.hbm_bytes};
  std::copy(std::begin(limits), std::end(limits), book.limits);
  book.tenants = static_cast<int64_t>(tenants.size());
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&book.mutex, &attributes);
  pthread_mutexattr_destroy(&attributes);
  std::memcpy(book.magic, kMagic, sizeof kMagic);  // last: now it is a ledger
  munmap(memory, sizeof(Book));
}

void Ledger::Map(int file) {
  void* memory = mmap(nullptr, sizeof(Book), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  book_ = static_cast<Book*>(memory);
  const std::string identity = book_->identity;
  tenants_ = ParseTenants(identity.substr(identity.find("tenants=") + std::strlen("tenants=")));
}

Ledger::Ledger(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) {
    Reject("cannot open " + path + ": " + std::strerror(errno) +
           ". The process that began this run has ended, and its machine with it: start the "
           "program with `ascend-sim run` again");
  }
  struct stat status{};
  fstat(file, &status);
  char head[sizeof Book::magic + sizeof Book::version] = {};
  const bool read_whole = pread(file, head, sizeof head - 1, 0) == sizeof head - 1;
  const bool is_ledger = read_whole && std::memcmp(head, kMagic, sizeof kMagic) == 0;
  const std::string version = is_ledger ? head + sizeof kMagic : "";
  const bool fits = is_ledger && version == ASCEND_SIM_VERSION && status.st_size == sizeof(Book);
  if (fits) Map(file);
  close(file);
  if (fits) return;
  if (!is_ledger) Reject(path + " is not a ledger of ascend-sim");
  Reject(path + " was made by ascend-sim " + version + " (" + std::to_string(status.st_size) +
         " bytes); this is ascend-sim " + ASCEND_SIM_VERSION + " (" + std::to_string(sizeof(Book)) +
         "). All processes of a run need the same version: use one Python environment, or start "
         "this one with its own `ascend-sim run`");
}

Ledger::Ledger(const Config& config) {
  const int file = memfd_create("ascend-sim-ledger-of-one", MFD_CLOEXEC);
  if (file < 0) Reject(std::string("cannot make a ledger: ") + std::strerror(errno));
  Format(file, config);
  Map(file);
  close(file);
}

Ledger::~Ledger() {
  if (book_ != nullptr) munmap(book_, sizeof(Book));
}

void Ledger::RequireSame(const Config& config) const {
  if (const std::string wanted = Identity(config); wanted != book_->identity) {
    Reject("this process is configured for another machine (" + wanted +
           ") than the ledger is for (" + book_->identity +
           "): use the configuration that the parent handed down, or `ascend-sim run`");
  }
}

bool Ledger::Take(int device, Resource resource, int64_t amount) {
  const Lock lock(*book_);
  int64_t& used = OwnRow().used[device][static_cast<size_t>(resource)];
  if (FreeAtLeast(device, resource, amount) < amount) return false;
  used += amount;
  return true;
}

int64_t Ledger::TakeUpTo(int device, Resource resource, int64_t amount) {
  const Lock lock(*book_);
  int64_t& used = OwnRow().used[device][static_cast<size_t>(resource)];
  const int64_t taken =
      std::clamp<int64_t>(FreeAtLeast(device, resource, amount), 0, std::max<int64_t>(amount, 0));
  used += taken;
  return taken;
}

void Ledger::Give(int device, Resource resource, int64_t amount) {
  const Lock lock(*book_);
  int64_t& used = OwnRow().used[device][static_cast<size_t>(resource)];
  used -= std::min(amount, used);
}

int64_t Ledger::Available(int device, Resource resource) {
  const Lock lock(*book_);
  OwnRow();  // asking is a use: the time of the tenants begins
  Reap();
  AdvanceTenants();
  return std::max<int64_t>(Free(device, resource), 0);
}

int64_t Ledger::Limit(Resource resource) const {
  return book_->limits[static_cast<size_t>(resource)];
}

std::string Ledger::OthersText(int device, Resource resource) {
  const Lock lock(*book_);
  const auto of = [&](const Row& row) { return row.used[device][static_cast<size_t>(resource)]; };
  const int64_t all = Used(device, resource);
  int64_t tenants = 0;
  for (int64_t i = 0; i < book_->tenants; ++i) tenants += of(book_->tenant_rows[i]);
  const int64_t processes = all - tenants - of(OwnRow());
  std::string text;
  if (processes > 0) text += "; other processes hold " + std::to_string(processes);
  if (tenants > 0) text += "; other tenants hold " + std::to_string(tenants);
  return text;
}

std::string Ledger::Json() {
  const Lock lock(*book_);
  Reap();
  AdvanceTenants();
  const auto amounts = [](const int64_t (&values)[kResources]) {
    std::string text = "{";
    for (size_t i = 0; i < kResources; ++i) {
      text += (i > 0 ? ", \"" : "\"") + std::string(kResourceNames[i]) +
              "\": " + std::to_string(values[i]);
    }
    return text + "}";
  };
  const auto row = [&](const Row& of) {
    std::string text = "{\"pid\": " + std::to_string(of.pid) + ", \"used\": [";
    for (int64_t i = 0; i < book_->devices; ++i) text += (i > 0 ? ", " : "") + amounts(of.used[i]);
    return text + "]}";
  };
  std::string processes, tenants;
  for (int64_t i = 0; i < book_->rows_used; ++i) {
    if (book_->rows[i].pid == 0) continue;
    processes += (processes.empty() ? "" : ", ") + row(book_->rows[i]);
  }
  for (int64_t i = 0; i < book_->tenants; ++i) {
    tenants += (tenants.empty() ? "" : ", ") + row(book_->tenant_rows[i]);
  }
  return std::string("{\"version\": \"") + book_->version +
         "\", \"devices\": " + std::to_string(book_->devices) +
         ", \"limits\": " + amounts(book_->limits) + ", \"processes\": [" + processes +
         "], \"tenants\": [" + tenants + "]}";
}

// Needs the lock, as all below.
Ledger::Row& Ledger::OwnRow() {
  if (Row* own = own_.load(std::memory_order_relaxed)) return *own;
  static const int registered = pthread_atfork(nullptr, nullptr, ForgetRowAfterFork);
  (void)registered;
  Reap();
  Row* const end = book_->rows + kMaxProcesses;
  Row* const row = std::find_if(book_->rows, end, [](const Row& each) { return each.pid == 0; });
  Require(row != end, kResourceAlloc,
          "256 processes use the simulated devices: there is no room for another");
  const ProcessId self = ProcessId::Self();
  row->start = self.start_time;
  row->pid = self.pid;
  book_->rows_used = std::max<int64_t>(book_->rows_used, row - book_->rows + 1);
  if (book_->first_use_ms == 0) book_->first_use_ms = NowMs();
  own_.store(row, std::memory_order_relaxed);
  return *row;
}

void Ledger::Reap() {
  const Row* const own = own_.load(std::memory_order_relaxed);
  for (int64_t i = 0; i < book_->rows_used; ++i) {
    Row& row = book_->rows[i];
    if (&row == own || row.pid == 0) continue;
    // A row with this process's id that is not its own belongs to the program before an exec.
    const auto pid = static_cast<int>(row.pid);
    if (pid != getpid() && ProcessId{pid, row.start}.Alive()) continue;
    std::memset(row.used, 0, sizeof row.used);
    row.pid = 0;
  }
}

void Ledger::AdvanceTenants() {
  if (tenants_.empty() || book_->first_use_ms == 0) return;
  const int64_t elapsed = NowMs() - book_->first_use_ms;
  for (size_t i = 0; i < tenants_.size(); ++i) {
    int64_t& done = book_->tenant_steps[i];
    for (; done < tenants_[i].StepsDue(elapsed); ++done) {
      for (int device = 0; device < book_->devices; ++device) {
        for (size_t r = 0; r < kResources; ++r) {
          const auto resource = static_cast<Resource>(r);
          const int64_t left = std::max<int64_t>(Free(device, resource), 0);
          book_->tenant_rows[i].used[device][r] +=
              std::min(tenants_[i].Wants(resource, done), left);
        }
      }
    }
  }
}

int64_t Ledger::Used(int device, Resource resource) const {
  const auto r = static_cast<size_t>(resource);
  int64_t used = 0;
  for (int64_t i = 0; i < book_->rows_used; ++i) used += book_->rows[i].used[device][r];
  for (int64_t i = 0; i < book_->tenants; ++i) used += book_->tenant_rows[i].used[device][r];
  return used;
}

int64_t Ledger::Free(int device, Resource resource) const {
  return Limit(resource) - Used(device, resource);
}

// What is free; the rows of the dead are looked for only when that is too little.
int64_t Ledger::FreeAtLeast(int device, Resource resource, int64_t amount) {
  AdvanceTenants();
  const int64_t free = Free(device, resource);
  if (free >= amount) return free;
  Reap();
  return Free(device, resource);
}

void Ledger::ForgetRowAfterFork() { TheLedger().own_.store(nullptr); }

Ledger& TheLedger() {
  // Tried again at the next call when it throws.
  static Ledger& ledger = *[] {
    const Config& config = GetConfig();
    const char* path = std::getenv(kVariable);
    if (path == nullptr || *path == '\0') return new Ledger(config);
    auto shared = std::make_unique<Ledger>(path);
    shared->RequireSame(config);
    return shared.release();
  }();
  return ledger;
}

}  // namespace ascend_sim

using namespace ascend_sim;

// Makes the ledger of a machine with this configuration (the text of ASCEND_SIM_CONFIG) in an empty
// file.
ASCEND_SIM_ABI int ascendSimMakeLedger(int file, const char* config) {
  return Abi("ascendSimMakeLedger", [&] {
    RequirePtr(config, "config");
    Ledger::Format(file, ParseConfig(config));
  });
}

// A ledger as JSON: limits, and what every process and tenant holds. Without a path this process's.
// Null, with a text for aclGetRecentErrMsg, when there is no such ledger; valid until the next call
// of this thread.
ASCEND_SIM_ABI const char* ascendSimReadLedger(const char* path) {
  thread_local std::string text;
  const int code = Abi("ascendSimReadLedger", [&] {
    if (path == nullptr) {
      text = TheLedger().Json();
    } else {
      text = Ledger(std::string(path)).Json();
    }
  });
  return code == kSuccess ? text.c_str() : nullptr;
}
