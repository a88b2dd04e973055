#include <wengert/backends/cuda/emulator/emulator.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include <wengert/engine/error.hpp>

namespace wengert::cuda::emulated {
namespace {

// Finds the live piece of known memory that an accessor's memory lies in; the answer is kept while a launch runs, in which none comes or goes.
class Guard {
 public:
  void begin(const Memory* known) {
    known_ = known;
    near_.fill({});
  }
  bool allows(std::uintptr_t base, std::uintptr_t address, std::uintptr_t bytes) {
    if (known_ == nullptr) return true;
    const Near& near = near_[(base / 16 * 0x9e3779b97f4a7c15u) >> 58];
    if (near.base == base && address >= near.begin && address + bytes <= near.end) [[likely]]
      return true;
    return search(base, address, bytes);
  }
  bool was_released(std::uintptr_t address) const {
    const Memory::Region* const region = known_->find(address);
    return region != nullptr && region->released;
  }

 private:
  struct Near {
    std::uintptr_t base = 0, begin = 1, end = 0;
  };
  bool search(std::uintptr_t base, std::uintptr_t address, std::uintptr_t bytes) {
    const Memory::Region* const region = known_->find(address);
    if (region == nullptr || region->released || bytes > region->end - address) return false;
    near_[(base / 16 * 0x9e3779b97f4a7c15u) >> 58] = {base, region->begin, region->end};
    return true;
  }

  const Memory* known_ = nullptr;
  std::array<Near, 64> near_;
};

class Emulator {
 public:
  Emulator() : block(clock), shared_words(most_shared_bytes / 4), shared_bytes(most_shared_bytes) {}

  void run(const Launch& launch, Schedule& schedule, const Memory* known);

  // "thread 3 of block 1 wrote at line 20": the access that a later one conflicts with.
  std::string earlier(const Trace& trace, Conflict conflict, const char* did) const;

  Clock clock;
  Block block;
  Guard guard;
  Shadow words, bytes;                           // global memory: elements of whole words, and smaller ones
  std::vector<Cell> shared_words, shared_bytes;  // the same of shared memory
  alignas(16) std::array<char, most_shared_bytes> shared;

 private:
  void begin(const Launch& launch, Schedule& schedule, const Memory* known);

  std::vector<std::pair<std::uint32_t, Index>> begun_;  // first interval and number of each block of the launch
};

thread_local constinit Emulator* running = nullptr;  // while a launch runs

Emulator& emulator() {
  thread_local const auto of_this_thread = std::make_unique<Emulator>();
  return *of_this_thread;
}

void Emulator::begin(const Launch& launch, Schedule& schedule, const Memory* known) {
  // Old intervals need not be forgotten, as they lie before the launch; but their numbers and the shadow's memory come to an end.
  constexpr std::uint32_t most_intervals = 1u << 31;
  constexpr std::size_t most_shadow = std::size_t{512} << 20;
  if (clock.now > most_intervals || words.bytes() + bytes.bytes() > most_shadow) {
    words.clear(), bytes.clear();
    std::fill(shared_words.begin(), shared_words.end(), Cell());
    std::fill(shared_bytes.begin(), shared_bytes.end(), Cell());
    clock = {};
  }
  clock.launch = clock.block = ++clock.now;
  guard.begin(known);
  begun_.clear();
  block.begin(launch, schedule);
}

void Emulator::run(const Launch& launch, Schedule& schedule, const Memory* known) {
  if (running != nullptr) fail("[" + launch.kernel + "] a kernel can't be launched from within one");
  begin(launch, schedule, known);
  running = this;
  struct End {
    ~End() { running = nullptr; }
  } end;
  const Index blocks = launch.grid.blocks;
  std::vector<Index> shuffled(schedule.order() == Order::shuffled ? static_cast<std::size_t>(blocks) : 0);
  for (std::size_t i = 0; i < shuffled.size(); ++i) shuffled[i] = static_cast<Index>(i);
  schedule.arrange(shuffled);
  for (Index i = 0; i < blocks; ++i) {
    const Index number = !shuffled.empty()                    ? shuffled[static_cast<std::size_t>(i)]
                         : schedule.order() == Order::reverse ? blocks - 1 - i
                                                              : i;
    begun_.emplace_back(clock.now + 1, number);
    block.run(number);
  }
}

std::string Emulator::earlier(const Trace& trace, Conflict conflict, const char* did) const {
  const std::string thread = "thread " + std::to_string(trace.thread()), at = std::string(did) + " at line " + std::to_string(trace.line());
  if (conflict == Conflict::threads) return thread + " of the same block " + at + " with no barrier between";
  if (trace.in_block(clock)) return std::string("another block ") + did;
  const auto after = std::upper_bound(begun_.begin(), begun_.end(), trace.interval(),
                                      [](std::uint32_t interval, const auto& each) { return interval < each.first; });
  return thread + " of block " + std::to_string(std::prev(after)->second) + " " + at;
}

const char* name(Access access) { return access == Access::read ? "read" : access == Access::write ? "write" : "atomic access"; }

// "a write of elements 4 to 7".
std::string access_text(Access access, Index i, Index many) {
  const std::string article = access == Access::atomic ? "an " : "a ", element = std::to_string(i);
  const std::string which = many == 1 ? " of element " + element : " of elements " + element + " to " + std::to_string(i + many - 1);
  return article + name(access) + which;
}

struct Request {
  Index i, many;
  Access access;
  const Where& where;
};

[[noreturn, gnu::cold]] void stop(FaultKind kind, const Request& request, const std::string& what) {
  const Block& block = running->block;
  throw block.fault(kind, block.running(), request.where, access_text(request.access, request.i, request.many) + what);
}

[[noreturn, gnu::cold]] void stop_race(const Cell& cell, const Clock& clock, const Request& request) {
  const int thread = running->block.running();
  const Conflict written = cell.write.conflict(clock, thread, request.access == Access::atomic);
  const std::string who = written != Conflict::none ? running->earlier(cell.write, written, "wrote")
                                                    : running->earlier(cell.read, cell.read.conflict(clock, thread, false), "read");
  stop(FaultKind::race, request, ", which " + who);
}

[[noreturn, gnu::cold]] void stop_outside() { fail("[emulator] a kernel's memory is accessed while none runs"); }

}  // namespace

void check_grid(const Launch& launch) {
  const Grid& grid = launch.grid;
  const auto refuse = [&launch](const std::string& what) { throw Fault(FaultKind::grid, {launch.node, launch.kernel}, what); };
  if (grid.blocks < 1 || grid.blocks > 0x7fffffff) refuse("wanted 1 to 2147483647 blocks, got " + std::to_string(grid.blocks));
  if (grid.threads < 1 || grid.threads > most_threads) {
    refuse("wanted 1 to " + std::to_string(most_threads) + " threads a block, got " + std::to_string(grid.threads));
  }
  if (grid.shared_bytes < 0 || grid.shared_bytes > most_shared_bytes) {
    refuse("wanted up to " + std::to_string(most_shared_bytes) + " bytes of shared memory, got " + std::to_string(grid.shared_bytes));
  }
}

void run(const Launch& launch, Schedule& schedule, const Memory* known) {
  check_grid(launch);
  emulator().run(launch, schedule, known);
}

void access_global(const void* base, Index count, Index i, Index many, Index element_bytes, Access access, const Where& where) {
  if (running == nullptr) [[unlikely]]
    stop_outside();
  Emulator& own = *running;
  if (i < 0 || i > count - many) [[unlikely]] {
    stop(FaultKind::bounds, {i, many, access, where}, ", there are " + std::to_string(count));
  }
  const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(base), bytes = static_cast<std::uintptr_t>(many * element_bytes);
  const std::uintptr_t address = first + static_cast<std::uintptr_t>(i * element_bytes);
  if ((address & (bytes - 1)) != 0) [[unlikely]] {  // sizes are powers of two
    stop(FaultKind::alignment, {i, many, access, where}, ", wanted an address that is a multiple of " + std::to_string(bytes));
  }
  if (!own.guard.allows(first, address, bytes)) [[unlikely]] {
    stop(FaultKind::memory, {i, many, access, where},
         own.guard.was_released(address) ? ", whose memory was released" : ", which was never allocated");
  }
  const bool whole_words = element_bytes % 4 == 0;
  const std::uintptr_t cells = whole_words ? bytes / 4 : bytes;
  Cell* const cell = whole_words ? own.words.at(address / 4) : own.bytes.at(address);
  const int thread = own.block.running();
  for (std::uintptr_t c = 0; c < cells; ++c) {
    if (cell[c].touch(own.clock, thread, access, where.line) != Conflict::none) [[unlikely]] {
      stop_race(cell[c], own.clock, {i, many, access, where});
    }
  }
}

void access_shared(int first_byte, int count, int i, int many, int element_bytes, Access access, const Where& where) {
  if (running == nullptr) [[unlikely]]
    stop_outside();
  Emulator& own = *running;
  const Request request{i, many, access, where};
  if (i < 0 || i > count - many) [[unlikely]]
    stop(FaultKind::shared_bounds, request, ", the part has " + std::to_string(count));
  const int shared_bytes = own.block.launch().grid.shared_bytes;
  if (first_byte < 0 || first_byte + Index{count} * element_bytes > shared_bytes) [[unlikely]] {
    stop(FaultKind::shared_bounds, request,
         " in bytes " + std::to_string(first_byte) + " to " + std::to_string(first_byte + Index{count} * element_bytes) +
             ", the block has " + std::to_string(shared_bytes));
  }
  const int address = first_byte + i * element_bytes, bytes = many * element_bytes;
  if (first_byte % 16 != 0) [[unlikely]]
    stop(FaultKind::alignment, request, " of a part that begins at byte " + std::to_string(first_byte));
  if ((address & (bytes - 1)) != 0) [[unlikely]]
    stop(FaultKind::alignment, request, ", wanted a multiple of " + std::to_string(many));
  const bool whole_words = element_bytes % 4 == 0;
  const int cells = whole_words ? bytes / 4 : bytes;
  Cell* const cell = whole_words ? own.shared_words.data() + address / 4 : own.shared_bytes.data() + address;
  const int thread = own.block.running();
  const Clock clock{own.clock.block, own.clock.block, own.clock.now};  // what other blocks did is none of this one's
  for (int c = 0; c < cells; ++c) {
    const bool unwritten = access == Access::read && !cell[c].write.in_block(clock);
    if (unwritten) [[unlikely]]
      stop(FaultKind::uninitialised, request, ", which was not written");
    if (cell[c].touch(clock, thread, access, where.line) != Conflict::none) [[unlikely]]
      stop_race(cell[c], clock, request);
  }
}

char* shared_memory() { return running->shared.data(); }

int Thread::size() const { return block_.size(); }
Index Thread::block() const { return block_.number(); }
Index Thread::blocks() const { return block_.blocks(); }
void Thread::barrier(const char* file, int line) const { block_.barrier({file, line}); }
std::uint32_t Thread::exchange(std::uint32_t value, int bits, const Where& where) const { return block_.exchange(value, bits, where); }

}  // namespace wengert::cuda::emulated
