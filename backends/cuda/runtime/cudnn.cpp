// The convolutions of cuDNN, NVIDIA's library of neural networks: a yardstick for those of kernels/, where it was found when this was built. Its
// interface by algorithm, older than that by graphs, is all that one convolution needs (cuDNN API, cudnn_cnn Library).
#include <wengert/backends/cuda/conv.hpp>

#ifdef WENGERT_CUDNN
#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
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

// The first algorithm, in the order of the library's expectation of speed, that gives the same bits every time.
template <class Ask, class Performance>
void take_best(const Caller& caller, Prepared& prepared, const Ask& ask, std::vector<Performance> known) {
  int count = 0;
  check_cudnn(ask(static_cast<int>(known.size()), &count, known.data()), caller, "an algorithm");
  for (int i = 0; i < count; ++i) {
    const Performance& one = known[static_cast<std::size_t>(i)];
    const bool in_f32 = one.mathType == CUDNN_FMA_MATH || one.mathType == CUDNN_DEFAULT_MATH;
    if (one.status != CUDNN_STATUS_SUCCESS || one.determinism != CUDNN_DETERMINISTIC || !in_f32) continue;
    prepared.algorithm = static_cast<int>(one.algo);
    prepared.workspace = one.memory;
    return;
  }
  fail(caller.text() + " wanted an algorithm of cuDNN's that gives the same bits every time, got none");
}

// A device's handle, and the convolutions that it has seen. Never destroyed: at the end of a process CUDA may be gone before.
class Library {
 public:
  static Library& of(int device) {
    static std::mutex mutex;
    static auto& known = *new std::map<int, Library*>;
    const std::lock_guard lock(mutex);
    Library*& library = known[device];
    if (library == nullptr) library = new Library(device);
    return *library;
  }

  // Held while its other members are used, and while what they return is.
  std::mutex& mutex() { return mutex_; }

  cudnnHandle_t on(cudaStream_t stream, const Caller& caller) {
    check_cudnn(cudnnSetStream(handle_, stream), caller, "cuDNN on a stream");
    return handle_;
  }

  const Prepared& prepared(const Caller& caller, Direction direction, const ConvGeometry& g, Index images) {
    const std::string key = fmt::format("{} {} {}", static_cast<int>(direction), images, g.describe());
    if (const auto found = prepared_.find(key); found != prepared_.end()) return found->second;
    Prepared made = describe(caller, g, images);
    const auto x = made.x.get(), y = made.y.get();
    const auto w = made.w.get();
    const auto conv = made.conv.get();
    const auto of = [this, &caller, &made](auto most, const auto& ask) { take_best(caller, made, ask, std::move(most)); };
    switch (direction) {
      case Direction::forward:
        of(std::vector<cudnnConvolutionFwdAlgoPerf_t>(CUDNN_CONVOLUTION_FWD_ALGO_COUNT), [&](int most, int* count, auto* known) {
          return cudnnGetConvolutionForwardAlgorithm_v7(handle_, x, w, conv, y, most, count, known);
        });
        break;
      case Direction::data:
        of(std::vector<cudnnConvolutionBwdDataAlgoPerf_t>(CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT), [&](int most, int* count, auto* known) {
          return cudnnGetConvolutionBackwardDataAlgorithm_v7(handle_, w, y, conv, x, most, count, known);
        });
        break;
      case Direction::weight:
        of(std::vector<cudnnConvolutionBwdFilterAlgoPerf_t>(CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT),
           [&](int most, int* count, auto* known) {
             return cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle_, x, y, conv, w, most, count, known);
           });
        break;
    }
    return prepared_.emplace(key, std::move(made)).first->second;
  }

 private:
  explicit Library(int device) { check_cudnn(cudnnCreate(&handle_), Caller{device}, "a handle of cuDNN"); }

  std::mutex mutex_;
  cudnnHandle_t handle_ = nullptr;
  std::map<std::string, Prepared> prepared_;
};

std::string refuse(const ConvGeometry& g, Index images) {
  if (g.pad_top != g.pad_bottom || g.pad_left != g.pad_right || g.pad_top < 0 || g.pad_left < 0)
    return fmt::format("cuDNN takes the same padding on opposite sides, not {}, {}, {}, {} (top, bottom, left, right)", g.pad_top,
                       g.pad_bottom, g.pad_left, g.pad_right);
  constexpr Index most = std::numeric_limits<std::int32_t>::max();
  const Index x = images * g.channels * g.height * g.width, y = images * g.filters * g.out_height * g.out_width;
  if (x > most || y > most) return fmt::format("cuDNN takes up to {} elements, not {}", most, std::max(x, y));
  return {};
}

template <Direction direction>
Index workspace_bytes(const ConvGeometry& g, Index images) {
  if (images == 0) return 0;
  int device = 0;
  check(cudaGetDevice(&device), Caller{}, "to know the device");
  Library& library = Library::of(device);
  const std::lock_guard lock(library.mutex());
  return static_cast<Index>(library.prepared(Caller{device}, direction, g, images).workspace);
}

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
  Library& library = Library::of(caller.device);
  const std::lock_guard lock(library.mutex());
  const Prepared& p = library.prepared(caller, direction, g, images);
  const cudnnHandle_t handle = library.on(raw, caller);
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
constexpr ConvDirection in_direction{refuse, workspace_bytes<direction>, run<direction>};

}  // namespace

void add_device_conv_cudnn(ConvFunctions& functions) {
  functions.cudnn = {in_direction<Direction::forward>, in_direction<Direction::data>, in_direction<Direction::weight>};
}

#endif

}  // namespace wengert::cuda
