#include <wengert/engine/executor.hpp>

#include <algorithm>
#include <new>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/sum_tree.hpp>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace wengert {

FloatEnvironment::FloatEnvironment([[maybe_unused]] bool flush_denormals) : saved_(0) {
#if defined(__SSE2__)
  constexpr unsigned flush_bits = 0x8040;     // flush to zero, denormals are zero
  constexpr unsigned rounding_bits = 0x6000;  // zero: to nearest
  const unsigned before = _mm_getcsr();
  const unsigned wanted = (before & ~(rounding_bits | flush_bits)) | (flush_denormals ? flush_bits : 0u);
  saved_ = before;
  if (wanted != before) _mm_setcsr(wanted);
#elif defined(__aarch64__)
  constexpr std::uint64_t flush_bit = std::uint64_t{1} << 24, rounding_bits = std::uint64_t{3} << 22;
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  const std::uint64_t wanted = (saved_ & ~(rounding_bits | flush_bit)) | (flush_denormals ? flush_bit : 0);
  asm volatile("msr fpcr, %0" : : "r"(wanted));
#endif
}

FloatEnvironment::~FloatEnvironment() {
#if defined(__SSE2__)
  // Status flags that the kernel raised stay raised, as after any arithmetic.
  constexpr unsigned control_bits = 0xffc0;
  const unsigned now = _mm_getcsr(), before = static_cast<unsigned>(saved_);
  if (((now ^ before) & control_bits) != 0) _mm_setcsr((now & ~control_bits) | (before & control_bits));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(saved_));
#endif
}

Index chunk_size(Index batch) { return std::clamp<Index>((batch + 7) / 8, 4, 32); }

namespace {

// Scratch memory of the calling thread, kept between calls.
void* thread_workspace(Index bytes) {
  struct Block {
    void* data = nullptr;
    Index size = 0;
    ~Block() { ::operator delete (data, std::align_val_t{Tensor::alignment}); }
  };
  thread_local Block block;
  if (block.size < bytes) {
    ::operator delete (block.data, std::align_val_t{Tensor::alignment});
    block.data = nullptr;
    block.size = 0;
    try {
      block.data = ::operator new (static_cast<std::size_t>(bytes), std::align_val_t{Tensor::alignment});
    } catch (const std::bad_alloc&) {
      fail(fmt::format("out of memory: wanted a workspace of {} bytes", bytes));
    }
    block.size = bytes;
  }
  return block.data;
}

// A batch and how it is cut. No images is one chunk of none.
struct Chunks {
  Index batch = 0, size = 0;
  Index count() const { return std::max<Index>(1, (batch + size - 1) / size); }
  Index first(Index chunk) const { return chunk * size; }
  Index rows(Index chunk) const { return std::min(size, batch - first(chunk)); }
};

// Views of one chunk (or of everything, where `cut` is empty) and the kernel call on them.
void call_kernel(const Execution& e, std::span<const Tensor> outputs, const Chunks* chunks, Index chunk) {
  constexpr std::size_t few = 6;  // values of a usual op, without an allocation
  View view_buffer[few];
  Spec spec_buffer[few];
  std::vector<View> many_views;
  std::vector<Spec> many_specs;
  View* views = view_buffer;
  const std::size_t total = e.inputs.size() + outputs.size();
  if (total > few) {
    many_views.resize(total);
    views = many_views.data();
  }
  const bool cut = chunks != nullptr && chunks->count() > 1;
  const Index first = cut ? chunks->first(chunk) : 0;
  const auto part = [&](const Tensor& tensor, bool batched) {
    return cut && batched ? tensor.view().rows(first, chunks->rows(chunk)) : tensor.view();
  };
  std::size_t at = 0;
  for (std::size_t i = 0; i < e.inputs.size(); ++i) views[at++] = part(e.inputs[i], ((e.batched >> i) & 1u) != 0);
  for (std::size_t o = 0; o < outputs.size(); ++o) views[at++] = part(outputs[o], ((e.effect.carried >> o) & 1u) != 0);
  KernelCall call{e.attributes, {views, e.inputs.size()}, {views + e.inputs.size(), outputs.size()}, first, nullptr};
  if (e.kernel.workspace) {
    Spec* specs = spec_buffer;
    if (total > few) {
      many_specs.resize(total);
      specs = many_specs.data();
    }
    for (std::size_t i = 0; i < e.inputs.size(); ++i) specs[i] = {views[i].shape, views[i].dtype};
    call.workspace = thread_workspace(e.kernel.workspace({e.attributes, {specs, e.inputs.size()}}));
  }
  const FloatEnvironment environment(e.flush_denormals);
  e.kernel.run(call);
}

using Partial = std::vector<Tensor>;  // the outputs of a kernel call on a part of the batch

std::vector<Partial> new_partials(const Execution& e, Index count) {
  std::vector<Partial> partials(static_cast<std::size_t>(count));
  for (Partial& partial : partials) {
    for (const Tensor& output : e.outputs) partial.push_back(Tensor::uninitialised(output.spec()));
  }
  return partials;
}

// totals = sum of the partials, which are used up: in sum_tree()'s order, whatever the number of workers.
void add_up(const Execution& e, std::span<const Partial> partials, std::span<const Tensor> totals, Executor& executor) {
  for (std::size_t o = 0; o < totals.size(); ++o) {
    constexpr Index slice = 16384;  // elements a task; elementwise, so its size does not change the result
    const Index elements = totals[o].elements();
    executor.run((elements + slice - 1) / slice, [&](Index task, int) {
      const FloatEnvironment environment(e.flush_denormals);
      visit_any(totals[o].dtype(), [&](auto zero) {
        using T = decltype(zero);
        const auto part = [&](Index p) { return partials[static_cast<std::size_t>(p)][o].view().write<T>(); };
        const Index first = task * slice, last = std::min(elements, first + slice);
        sum_tree<T>(static_cast<Index>(partials.size()), part, first, last);
        std::copy(part(0) + first, part(0) + last, totals[o].view().write<T>() + first);
      });
    });
  }
}

// Groups of 2^k chunks are added up one after the other, then their totals: the same tree as over all chunks at once, in the memory of
// about twice the square root of their number.
void execute_sums(const Execution& e, const Chunks& chunks, Executor& executor) {
  Index size = 64;  // of a group: enough for any number of workers
  while (size * size < chunks.count()) size *= 2;
  const Index groups = (chunks.count() + size - 1) / size;
  const std::vector<Partial> partials = new_partials(e, std::min(size, chunks.count()));
  const std::vector<Partial> totals = new_partials(e, groups == 1 ? 0 : groups);
  for (Index group = 0; group < groups; ++group) {
    const Index first = group * size, count = std::min(size, chunks.count() - first);
    executor.run(count, [&](Index task, int) { call_kernel(e, partials[static_cast<std::size_t>(task)], &chunks, first + task); });
    const std::span<const Tensor> total = groups == 1 ? std::span<const Tensor>(e.outputs) : totals[static_cast<std::size_t>(group)];
    add_up(e, std::span(partials).first(static_cast<std::size_t>(count)), total, executor);
  }
  if (groups > 1) add_up(e, totals, e.outputs, executor);
}

// Returns when the call is given to the device; its workspace is kept until nobody needs it (DeviceRuntime::release).
void execute_on_device(const Execution& e) {
  std::vector<View> views;
  std::vector<Spec> specs;
  for (const Tensor& input : e.inputs) views.push_back(input.memory());
  for (const Tensor& output : e.outputs) views.push_back(output.memory());
  for (const Tensor& input : e.inputs) specs.push_back(input.spec());
  Tensor workspace;
  if (const Index bytes = e.kernel.workspace ? e.kernel.workspace({e.attributes, specs, {}, e.runtime->device()}) : 0; bytes > 0)
    workspace = Tensor::uninitialised({{bytes}, DType::u8}, e.runtime->device());
  KernelCall call{e.attributes, std::span(views).first(e.inputs.size()), std::span(views).subspan(e.inputs.size())};
  call.workspace = workspace ? workspace.memory().data : nullptr;
  call.queue = &e.runtime->queue();
  e.kernel.run(call);
}

}  // namespace

void execute(const Execution& e, Executor& executor) {
  if (e.runtime != nullptr) return execute_on_device(e);
  if (e.batch <= 0) return call_kernel(e, e.outputs, nullptr, 0);
  const Chunks chunks{e.batch, chunk_size(e.batch)};
  if (chunks.count() == 1) return call_kernel(e, e.outputs, nullptr, 0);
  if (e.effect.kind == BatchEffect::Kind::sums) return execute_sums(e, chunks, executor);
  executor.run(chunks.count(), [&](Index chunk, int) { call_kernel(e, e.outputs, &chunks, chunk); });
}

}  // namespace wengert
