#include <wengert/engine/executor.hpp>

#include <algorithm>
#include <new>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>

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
    ~Block() { ::operator delete(data, std::align_val_t{Tensor::alignment}); }
  };
  thread_local Block block;
  if (block.size < bytes) {
    ::operator delete(block.data, std::align_val_t{Tensor::alignment});
    block.data = nullptr;
    block.size = 0;
    try {
      block.data = ::operator new(static_cast<std::size_t>(bytes), std::align_val_t{Tensor::alignment});
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

// out = sum of the partials, pairwise: neighbours at distance 1, then 2, 4, ... : the same tree for any number of workers.
template <class T>
void add_tree(std::span<std::vector<Tensor>> partials, std::size_t output, T* out, Index first, Index last) {
  const std::size_t count = partials.size();
  std::vector<T*> parts(count);
  for (std::size_t p = 0; p < count; ++p) parts[p] = partials[p][output].view().write<T>();
  for (std::size_t distance = 1; distance < count; distance *= 2) {
    for (std::size_t p = 0; p + distance < count; p += 2 * distance) {
      T* const sum = parts[p];
      const T* const other = parts[p + distance];
      for (Index i = first; i < last; ++i) sum[i] += other[i];
    }
  }
  std::copy(parts[0] + first, parts[0] + last, out + first);
}

void execute_sums(const Execution& e, const Chunks& chunks, Executor& executor) {
  std::vector<std::vector<Tensor>> partials(static_cast<std::size_t>(chunks.count()));
  for (auto& partial : partials) {
    for (const Tensor& output : e.outputs) partial.push_back(Tensor::uninitialised(output.spec()));
  }
  executor.run(chunks.count(), [&](Index chunk, int) { call_kernel(e, partials[static_cast<std::size_t>(chunk)], &chunks, chunk); });
  for (std::size_t o = 0; o < e.outputs.size(); ++o) {
    constexpr Index slice = 16384;  // elements a task; elementwise, so its size does not change the result
    const Index total = e.outputs[o].elements();
    executor.run((total + slice - 1) / slice, [&](Index task, int) {
      const FloatEnvironment environment(e.flush_denormals);
      visit_any(e.outputs[o].dtype(), [&](auto zero) {
        using T = decltype(zero);
        add_tree<T>(partials, o, e.outputs[o].view().write<T>(), task * slice, std::min(total, (task + 1) * slice));
      });
    });
  }
}

}  // namespace

void execute(const Execution& e, Executor& executor) {
  if (e.batch <= 0) return call_kernel(e, e.outputs, nullptr, 0);
  const Chunks chunks{e.batch, chunk_size(e.batch)};
  if (chunks.count() == 1) return call_kernel(e, e.outputs, nullptr, 0);
  if (e.effect.kind == BatchEffect::Kind::sums) return execute_sums(e, chunks, executor);
  executor.run(chunks.count(), [&](Index chunk, int) { call_kernel(e, e.outputs, &chunks, chunk); });
}

}  // namespace wengert
