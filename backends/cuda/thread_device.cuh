// thread.hpp as nvcc sees it: everything is what it costs.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

#include <wengert/backends/cuda/queue.hpp>
#include <wengert/backends/cuda/side.hpp>

namespace wengert::cuda::device {

// Global memory. The count is for the emulator.
template <class T>
class Global {
 public:
  Global() = default;
  WENGERT_BOTH Global(T* data, Index /*count*/) : data_(data) {}

  WENGERT_DEVICE T load(Index i) const { return data_[i]; }
  WENGERT_DEVICE void store(Index i, T value) const { data_[i] = value; }
  // Elements i to i + 3, of floats, i a multiple of 4 and the memory 16-byte aligned.
  WENGERT_DEVICE Four load_four(Index i) const { return *reinterpret_cast<const Four*>(data_ + i); }
  WENGERT_DEVICE void store_four(Index i, const Four& four) const { *reinterpret_cast<Four*>(data_ + i) = four; }
  WENGERT_DEVICE void atomic_min(Index i, T value) const { atomicMin(data_ + i, value); }  // of ints
  WENGERT_BOTH bool given() const { return data_ != nullptr; }

 private:
  T* data_ = nullptr;
};

// A part of the block's shared memory.
template <class T>
class Shared {
 public:
  WENGERT_DEVICE explicit Shared(T* data) : data_(data) {}
  WENGERT_DEVICE T load(int i) const { return data_[i]; }
  WENGERT_DEVICE void store(int i, T value) const { data_[i] = value; }
  WENGERT_DEVICE Four load_four(int i) const { return *reinterpret_cast<const Four*>(data_ + i); }
  WENGERT_DEVICE void store_four(int i, const Four& four) const { *reinterpret_cast<Four*>(data_ + i) = four; }

 private:
  T* data_;
};

class Thread {
 public:
  WENGERT_DEVICE int index() const { return static_cast<int>(threadIdx.x); }  // in its block
  WENGERT_DEVICE int size() const { return static_cast<int>(blockDim.x); }
  WENGERT_DEVICE Index block() const { return blockIdx.x; }
  WENGERT_DEVICE Index blocks() const { return gridDim.x; }
  WENGERT_DEVICE Index global() const { return block() * size() + index(); }  // among all threads
  WENGERT_DEVICE Index total() const { return blocks() * size(); }
  WENGERT_DEVICE int lane() const { return index() % warp_size; }
  WENGERT_DEVICE int warp() const { return index() / warp_size; }

  WENGERT_DEVICE void barrier() const { __syncthreads(); }
  // The value of the thread of the same warp whose lane differs in these bits. The whole warp takes part.
  template <class T>
  WENGERT_DEVICE T shuffle_xor(T value, int bits) const {
    return __shfl_xor_sync(0xffffffffu, value, bits);
  }
  // `count` elements of the block's shared memory from a byte on, which is a multiple of 16.
  template <class T>
  WENGERT_DEVICE Shared<T> shared(int first_byte, int /*count*/) const {
    extern __shared__ __align__(16) char memory[];
    return Shared<T>(reinterpret_cast<T*>(memory + first_byte));
  }
};

void launch_failed(const Queue& queue, const char* kernel, int error);  // throws Error
void* stream_of(Queue& queue);                                          // its cudaStream_t

template <class Body>
__global__ void entry(const Body body) {
  Thread thread;
  body(thread);
}

template <class Body>
void launch(Queue& queue, const char* kernel, const Grid& grid, const Body& body) {
  entry<Body><<<static_cast<unsigned>(grid.blocks), static_cast<unsigned>(grid.threads), static_cast<std::size_t>(grid.shared_bytes),
                static_cast<cudaStream_t>(stream_of(queue))>>>(body);
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) launch_failed(queue, kernel, error);
}

}  // namespace wengert::cuda::device
