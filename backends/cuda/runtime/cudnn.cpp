// The convolutions of cuDNN, NVIDIA's library of neural networks: a yardstick for those of kernels/, where it was found when this was built. Its
// interface by algorithm, older than that by graphs, is all that one convolution needs (cuDNN API, cudnn_cnn Library). Nothing here has run on a GPU.
#include <wengert/backends/cuda/conv.hpp>

#ifdef WENGERT_CUDNN
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <cudnn.h>
#include <fmt/format.h>

#include <wengert/backends/cuda/refusal.hpp>
#include <wengert/backends/cuda/runtime/stream.cuh>
#endif

namespace wengert::cuda {

#ifndef WENGERT_CUDNN

void add_device_conv_cudnn(ConvFunctions&) {}

#else

namespace {

using OwnedTensor = std::unique_ptr<cudnnTensorStruct, Destroy<cudnnDestroyTensorDescriptor> >;
using OwnedFilter = std::unique_ptr<cudnnFilterStruct, Destroy<cudnnDestroyFilterDescriptor> >;
using OwnedConvolution = std::unique_ptr<cudnnConvolutionStruct, Destroy<cudnnDestroyConvolutionDescriptor> >;

void check_cudnn(cudnnStatus_t status, const Caller& caller, const char* wanted) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  if (status == CUDNN_STATUS_ALLOC_FAILED) call_failed(caller, wanted, cudaErrorMemoryAllocation);
  fail(fmt::format("{} wanted {}, got from cuDNN: {}", caller.text(), wanted, cudnnGetErrorString(status)));
}

template <class Owned, auto create>
Owned make(const Caller& caller) {
  typename Owned::pointer made = nullptr;
  check_cudnn(create(&made), caller, "a descriptor");
  return Owned(made);
}

enum class Direction { forward, data, weight };

// A convolution of so many images in one direction, as the library knows it.
struct Prepared {
  OwnedTensor x, y;
  OwnedFilter w;
  OwnedConvolution conv;
  int algorithm = 0;
  std::size_t workspace = 0;  // bytes
};

OwnedTensor tensor(const Caller& caller, Index images, Index channels, Index height, Index width) {
  OwnedTensor made = make<OwnedTensor, cudnnCreateTensorDescriptor>(caller);
  check_cudnn(cudnnSetTensor4dDescriptor(made.get(), CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, static_cast<int>(images),
                                         static_cast<int>(channels), static_cast<int>(height), static_cast<int>(width)),
              caller, "to describe images");
  return made;
}

Prepared describe(const Caller& caller, const ConvGeometry& g, Index images) {
  Prepared made;
  made.x = tensor(caller, images, g.channels, g.height, g.width);
  made.y = tensor(caller, images, g.filters, g.out_height, g.out_width);
  made.w = make<OwnedFilter, cudnnCreateFilterDescriptor>(caller);
  check_cudnn(
      cudnnSetFilter4dDescriptor(made.w.get(), CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, static_cast<int>(g.filters),
                                 static_cast<int>(g.group_channels()), static_cast<int>(g.kernel_height), static_cast<int>(g.kernel_width)),
      caller, "to describe filters");
  made.conv = make<OwnedConvolution, cudnnCreateConvolutionDescriptor>(caller);
  const cudnnConvolutionDescriptor_t conv = made.conv.get();
  check_cudnn(
      cudnnSetConvolution2dDescriptor(conv, static_cast<int>(g.pad_top), static_cast<int>(g.pad_left), static_cast<int>(g.stride_height),
                                      static_cast<int>(g.stride_width), static_cast<int>(g.dilation_height),
                                      static_cast<int>(g.dilation_width), CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
      caller, "to describe a convolution");
  check_cudnn(cudnnSetConvolutionGroupCount(conv, static_cast<int>(g.groups)), caller, "groups");
  check_cudnn(cudnnSetConvolutionMathType(conv, CUDNN_FMA_MATH), caller, "f32 throughout");  // no TF32
  return made;
}

// Of a call, on every queue: which algorithm is the fastest within it is known only on the device.
constexpr Index workspace_limit = Index{64} << 20;

// The first algorithm, in the order of the library's expectation of speed, that gives the same bits every time and has room. `bytes_of` is of the
// algorithm in f32, as it will run: the library's own list says that of the arithmetic it has in mind.
template <class Performance, class Ask, class BytesOf>
void take_best(const Caller& caller, Prepared& prepared, int most, const Ask& ask, const BytesOf& bytes_of) {
  std::vector<Performance> known(static_cast<std::size_t>(most));
  int count = 0;
  check_cudnn(ask(most, &count, known.data()), caller, "an algorithm");
  for (int i = 0; i < count; ++i) {
    const Performance& one = known[static_cast<std::size_t>(i)];
    if (one.status != CUDNN_STATUS_SUCCESS || one.determinism != CUDNN_DETERMINISTIC) continue;
    if (one.mathType != CUDNN_FMA_MATH && one.mathType != CUDNN_DEFAULT_MATH) continue;
    std::size_t bytes = 0;
    if (bytes_of(one.algo, &bytes) != CUDNN_STATUS_SUCCESS || static_cast<Index>(bytes) > workspace_limit) continue;
    prepared.algorithm = static_cast<int>(one.algo);
    prepared.workspace = bytes;
    return;
  }
  fail(caller.text() + " wanted an algorithm of cuDNN's that gives the same bits every time, in 64 MiB of workspace, got none");
}

// A stream's handle, and the convolutions that it has seen.
class Library {
 public:
  Library(cudaStream_t stream, const Caller& caller) {
    cudnnHandle_t made = nullptr;
    check_cudnn(cudnnCreate(&made), caller, "a handle of cuDNN");
    handle_.reset(made);
    check_cudnn(cudnnSetStream(made, stream), caller, "cuDNN on a stream");
  }

  // Eager calls of several threads share a stream.
  std::mutex& mutex() { return mutex_; }
  cudnnHandle_t handle() const { return handle_.get(); }

  const Prepared& prepared(const Caller& caller, Direction direction, const ConvGeometry& g, Index images) {
    const std::string key = fmt::format("{} {} {}", static_cast<int>(direction), images, g.describe());
    if (const auto found = prepared_.find(key); found != prepared_.end()) return found->second;
    Prepared made = describe(caller, g, images);
    choose(caller, direction, made);
    return prepared_.emplace(key, std::move(made)).first->second;
  }

 private:
  void choose(const Caller& caller, Direction direction, Prepared& made) {
    const cudnnHandle_t handle = handle_.get();
    const auto x = made.x.get(), y = made.y.get();
    const auto w = made.w.get();
    const auto conv = made.conv.get();
    int most = 0;
    switch (direction) {
      case Direction::forward:
        check_cudnn(cudnnGetConvolutionForwardAlgorithmMaxCount(handle, &most), caller, "the number of algorithms");
        take_best<cudnnConvolutionFwdAlgoPerf_t>(
            caller, made, most,
            [&](int size, int* count, auto* known) {
              return cudnnGetConvolutionForwardAlgorithm_v7(handle, x, w, conv, y, size, count, known);
            },
            [&](auto algorithm, std::size_t* bytes) {
              return cudnnGetConvolutionForwardWorkspaceSize(handle, x, w, conv, y, algorithm, bytes);
            });
        break;
      case Direction::data:
        check_cudnn(cudnnGetConvolutionBackwardDataAlgorithmMaxCount(handle, &most), caller, "the number of algorithms");
        take_best<cudnnConvolutionBwdDataAlgoPerf_t>(
            caller, made, most,
            [&](int size, int* count, auto* known) {
              return cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, w, y, conv, x, size, count, known);
            },
            [&](auto algorithm, std::size_t* bytes) {
              return cudnnGetConvolutionBackwardDataWorkspaceSize(handle, w, y, conv, x, algorithm, bytes);
            });
        break;
      case Direction::weight:
        check_cudnn(cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(handle, &most), caller, "the number of algorithms");
        take_best<cudnnConvolutionBwdFilterAlgoPerf_t>(
            caller, made, most,
            [&](int size, int* count, auto* known) {
              return cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, x, y, conv, w, size, count, known);
            },
            [&](auto algorithm, std::size_t* bytes) {
              return cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, x, y, conv, w, algorithm, bytes);
            });
        break;
    }
  }

  std::mutex mutex_;
  std::unique_ptr<cudnnContext, Destroy<cudnnDestroy> > handle_;
  std::map<std::string, Prepared> prepared_;
};

std::string refuse(const ConvGeometry& g, Index images) {
  if (g.pad_top != g.pad_bottom || g.pad_left != g.pad_right)
    return fmt::format("cuDNN takes the same padding on opposite sides, not {}, {}, {}, {} (top, bottom, left, right)", g.pad_top,
                       g.pad_bottom, g.pad_left, g.pad_right);
  if (g.pad_top < 0 || g.pad_left < 0) return fmt::format("cuDNN takes no padding below 0, not {} and {}", g.pad_top, g.pad_left);
  constexpr Index most = std::numeric_limits<std::int32_t>::max();
  const Index x = images * g.channels * g.height * g.width, y = images * g.filters * g.out_height * g.out_width;
  if (x > most || y > most) return fmt::format("cuDNN takes up to {} elements, not {}", most, std::max(x, y));
  return {};
}

Index workspace_bytes(const ConvGeometry&, Index images) { return images > 0 ? workspace_limit : 0; }

template <Direction direction>
void run(Queue& queue, const ConvGeometry& g, Index images, const float* first, const float* second, float* result, void* workspace) {
  want(queue, refuse(g, images));
  if (images == 0) {
    constexpr Index size = sizeof(float);
    if (direction == Direction::weight) queue.fill(result, 0, size * g.filters * g.group_channels() * g.kernel_height * g.kernel_width);
    return;
  }
  Stream& stream = static_cast<Stream&>(queue);  // for a device's kernels it is one
  const Caller caller = stream.caller();
  const cudaStream_t raw = stream.for_work();
  const auto library = std::static_pointer_cast<Library>(stream.cudnn([&] { return std::make_shared<Library>(raw, caller); }));
  const std::lock_guard lock(library->mutex());
  const Prepared& p = library->prepared(caller, direction, g, images);
  const cudnnHandle_t handle = library->handle();
  const float one = 1, zero = 0;
  const auto x = p.x.get(), y = p.y.get();
  const auto w = p.w.get();
  const auto conv = p.conv.get();
  cudnnStatus_t status{};
  if constexpr (direction == Direction::forward) {
    status = cudnnConvolutionForward(handle, &one, x, first, w, second, conv, static_cast<cudnnConvolutionFwdAlgo_t>(p.algorithm),
                                     workspace, p.workspace, &zero, y, result);
  } else if constexpr (direction == Direction::data) {
    status = cudnnConvolutionBackwardData(handle, &one, w, second, y, first, conv, static_cast<cudnnConvolutionBwdDataAlgo_t>(p.algorithm),
                                          workspace, p.workspace, &zero, x, result);
  } else {
    status =
        cudnnConvolutionBackwardFilter(handle, &one, x, first, y, second, conv, static_cast<cudnnConvolutionBwdFilterAlgo_t>(p.algorithm),
                                       workspace, p.workspace, &zero, w, result);
  }
  check_cudnn(status, caller, "a convolution");
}

template <Direction direction>
constexpr ConvDirection in_direction{refuse, workspace_bytes, run<direction>};

}  // namespace

void add_device_conv_cudnn(ConvFunctions& functions) {
  functions.cudnn = {in_direction<Direction::forward>, in_direction<Direction::data>, in_direction<Direction::weight>};
}

#endif

}  // namespace wengert::cuda
