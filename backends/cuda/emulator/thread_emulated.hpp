// thread.hpp as the host's compiler sees it: every access goes by the emulator, which knows the block, the thread and the line.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <typeinfo>

#include <wengert/backends/cuda/queue.hpp>
#include <wengert/backends/cuda/side.hpp>

namespace wengert::cuda::emulated {

class Block;  // a running one

struct Where {  // in a kernel
  const char* file = "";
  int line = 0;
};

enum class Access : std::uint8_t { read, write, atomic };

// Stops the launch with a Fault where the running thread may not do that: elements [i, i + many) of `count` in global memory at `base`.
void access_global(const void* base, Index count, Index i, Index many, Index element_bytes, Access access, const Where& where);
// The same of the running block's shared memory: elements of a part of it that begins at a byte.
void access_shared(int first_byte, int count, int i, int many, int element_bytes, Access access, const Where& where);
char* shared_memory();  // the running block's

template <class T>
class Global {
 public:
  Global() = default;
  Global(T* data, Index count) : data_(data), count_(count) {}

  T load(Index i WENGERT_WHERE) const {
    access_global(data_, count_, i, 1, sizeof(T), Access::read, {file, line});
    return data_[i];
  }
  void store(Index i, T value WENGERT_WHERE) const {
    access_global(data_, count_, i, 1, sizeof(T), Access::write, {file, line});
    data_[i] = value;
  }
  Four load_four(Index i WENGERT_WHERE) const {
    access_global(data_, count_, i, 4, sizeof(T), Access::read, {file, line});
    return {data_[i], data_[i + 1], data_[i + 2], data_[i + 3]};
  }
  void store_four(Index i, const Four& four WENGERT_WHERE) const {
    access_global(data_, count_, i, 4, sizeof(T), Access::write, {file, line});
    data_[i] = four.x, data_[i + 1] = four.y, data_[i + 2] = four.z, data_[i + 3] = four.w;
  }
  void atomic_min(Index i, T value WENGERT_WHERE) const {
    access_global(data_, count_, i, 1, sizeof(T), Access::atomic, {file, line});
    if (value < data_[i]) data_[i] = value;
  }
  bool given() const { return data_ != nullptr; }

 private:
  T* data_ = nullptr;
  Index count_ = 0;
};

template <class T>
class Shared {
 public:
  Shared(int first_byte, int count) : first_byte_(first_byte), count_(count) {}

  T load(int i WENGERT_WHERE) const {
    access_shared(first_byte_, count_, i, 1, sizeof(T), Access::read, {file, line});
    return data()[i];
  }
  void store(int i, T value WENGERT_WHERE) const {
    access_shared(first_byte_, count_, i, 1, sizeof(T), Access::write, {file, line});
    data()[i] = value;
  }
  Four load_four(int i WENGERT_WHERE) const {
    access_shared(first_byte_, count_, i, 4, sizeof(T), Access::read, {file, line});
    return {data()[i], data()[i + 1], data()[i + 2], data()[i + 3]};
  }
  void store_four(int i, const Four& four WENGERT_WHERE) const {
    access_shared(first_byte_, count_, i, 4, sizeof(T), Access::write, {file, line});
    data()[i] = four.x, data()[i + 1] = four.y, data()[i + 2] = four.z, data()[i + 3] = four.w;
  }

 private:
  T* data() const { return reinterpret_cast<T*>(shared_memory() + first_byte_); }
  int first_byte_, count_;
};

class Thread {
 public:
  Thread(Block& block, int index) : block_(block), index_(index) {}

  int index() const { return index_; }
  int size() const;
  Index block() const;
  Index blocks() const;
  Index global() const { return block() * size() + index(); }
  Index total() const { return blocks() * size(); }
  int lane() const { return index() % warp_size; }
  int warp() const { return index() / warp_size; }

  void barrier(WENGERT_WHERE_ONLY) const;
  template <class T>
  T shuffle_xor(T value, int bits WENGERT_WHERE) const {
    static_assert(sizeof(T) == 4 && std::is_trivially_copyable_v<T>);
    return std::bit_cast<T>(exchange(std::bit_cast<std::uint32_t>(value), bits, {file, line}));
  }
  template <class T>
  Shared<T> shared(int first_byte, int count) const {
    return {first_byte, count};
  }

 private:
  std::uint32_t exchange(std::uint32_t value, int bits, const Where& where) const;

  Block& block_;
  int index_;
};

// Done at once, or recorded where the queue is capturing (emulator/runtime.hpp).
void launch_on(Queue& queue, const char* kernel, const char* type, const Grid& grid, std::function<void(Thread&)> body);

template <class Body>
void launch(Queue& queue, const char* kernel, const Grid& grid, const Body& body) {
  static_assert(std::is_trivially_copyable_v<Body>);
  launch_on(queue, kernel, typeid(Body).name(), grid, [body](Thread& thread) { body(thread); });
}

}  // namespace wengert::cuda::emulated
