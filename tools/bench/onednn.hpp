// What the two oneDNN yardsticks share: convolutions under the interfaces of oneDNN 2 and 3, calls on plain buffers, answers.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>

namespace yardstick {

using dnnl::memory;
using Dims = memory::dims;
using Tag = memory::format_tag;

inline dnnl::engine& engine() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}
inline dnnl::stream& stream() {
  static dnnl::stream s(engine());
  return s;
}

inline memory::desc f32(const Dims& dims, Tag tag) { return {dims, memory::data_type::f32, tag}; }

// 64-byte aligned zeros.
struct Buffer {
  explicit Buffer(std::size_t count)
      : size(count), data(static_cast<float*>(::operator new (count * sizeof(float), std::align_val_t{64}))) {
    std::memset(data, 0, count * sizeof(float));
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::operator delete (data, std::align_val_t{64}); }
  std::size_t size;
  float* data;
};

// A sequence of primitives with their memory, cached: running it allocates nothing.
struct Call {
  std::vector<std::pair<dnnl::primitive, std::unordered_map<int, memory>>> parts;
  std::string kernel;
  void operator()() const {
    for (const auto& [primitive, memories] : parts) primitive.execute(stream(), memories);
  }
  // Makes `have` available as `want` in what follows: the same memory, or a copy that a reorder fills at every run.
  memory input(const memory& have, const memory::desc& want) {
    if (have.get_desc() == want) return have;
    memory copy(want, engine());
    parts.push_back({dnnl::reorder(have, copy), {{DNNL_ARG_FROM, have}, {DNNL_ARG_TO, copy}}});
    return copy;
  }
};

struct Convolution {
  Dims x, w, y, stride, before, after;  // w is (F,C,KH,KW), or (G,F/G,C/G,KH,KW)
};

inline dnnl::primitive_attr with_relu(bool relu) {
  dnnl::primitive_attr attributes;
  if (relu) {
    dnnl::post_ops then;
#if DNNL_VERSION_MAJOR >= 3
    then.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
#else
    then.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
#endif
    attributes.set_post_ops(then);
  }
  return attributes;
}

inline dnnl::convolution_forward::primitive_desc forward_of(const Convolution& c, Tag x, Tag y, bool bias, bool relu) {
  const auto prop = dnnl::prop_kind::forward_training;
  const auto direct = dnnl::algorithm::convolution_direct;
  const memory::desc xd = f32(c.x, x), wd = f32(c.w, Tag::any), yd = f32(c.y, y);
  const memory::desc bd = bias ? f32({c.y[1]}, Tag::x) : memory::desc();
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), prop, direct, xd, wd, bd, yd, c.stride, c.before, c.after, with_relu(relu)};
#else
  return {{prop, direct, xd, wd, bd, yd, c.stride, c.before, c.after}, with_relu(relu), engine()};
#endif
}

inline dnnl::convolution_backward_data::primitive_desc data_of(const Convolution& c, Tag x, Tag y) {
  const auto hint = forward_of(c, x, y, false, false);
  const auto direct = dnnl::algorithm::convolution_direct;
  const memory::desc xd = f32(c.x, x), wd = f32(c.w, Tag::any), yd = f32(c.y, y);
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), direct, xd, wd, yd, c.stride, c.before, c.after, hint};
#else
  return {{direct, xd, wd, yd, c.stride, c.before, c.after}, engine(), hint};
#endif
}

inline dnnl::convolution_backward_weights::primitive_desc weights_of(const Convolution& c, Tag x, Tag y) {
  const auto hint = forward_of(c, x, y, false, false);
  const auto direct = dnnl::algorithm::convolution_direct;
  const memory::desc xd = f32(c.x, x), wd = f32(c.w, Tag::any), yd = f32(c.y, y);
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), direct, xd, wd, yd, c.stride, c.before, c.after, hint};
#else
  return {{direct, xd, wd, yd, c.stride, c.before, c.after}, engine(), hint};
#endif
}

inline double milliseconds(const std::function<void()>& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// The makers' call with the shortest run. A maker that throws is out; reference kernels, which take seconds, only where there is no other.
inline Call fastest(const std::vector<std::function<Call()>>& makers) {
  Call best;
  double least = 0;
  for (const bool reference : {false, true}) {
    for (const auto& make : makers) {
      Call call;
      try {
        call = make();
      } catch (const dnnl::error& e) {
        continue;
      }
      if (!reference && call.kernel.find("ref") != std::string::npos) continue;
      double shortest = milliseconds(call), spent = shortest;
      for (int round = 0; round < 200 && (round < 4 || spent < 60) && spent < 2000; ++round) {
        const double ms = milliseconds(call);
        shortest = std::min(shortest, ms), spent += ms;
      }
      if (best.parts.empty() || shortest < least) best = std::move(call), least = shortest;
    }
    if (!best.parts.empty()) return best;
  }
  throw std::runtime_error("no kernel for this geometry");
}

inline std::string listed(const std::vector<double>& values) {
  std::string text;
  for (const double value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
  return '[' + text + ']';
}

inline std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return std::to_string(v->major) + '.' + std::to_string(v->minor) + '.' + std::to_string(v->patch);
}

// Sets the threads, says what this is, and answers every line on stdin with answer(line), a JSON object, or with its error.
inline int serve(int argc, char** argv, const std::string& network, const std::function<std::string(const std::string&)>& answer) {
  int threads = 0;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string(argv[i]) == "--threads") threads = std::atoi(argv[i + 1]);
  }
  if (threads < 1) {
    std::fprintf(stderr, "usage: %s --threads T   (requests on standard input)\n", argv[0]);
    return 2;
  }
  omp_set_num_threads(threads);
  dnnl::set_primitive_cache_capacity(
      0);  // it takes nchw and nhwc for equal where there is one channel, and answers with the other's kernel
  std::cout << "{\"peer\": \"oneDNN\", \"version\": \"" << version() << "\", \"mode\": \"hand-built\", \"threads\": " << threads
            << ", \"networks\": [" << network << "]}" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      std::cout << answer(line) << std::endl;
    } catch (const std::exception& error) {
      std::cout << "{\"error\": \"" << error.what() << "\"}" << std::endl;
    }
  }
  return 0;
}

}  // namespace yardstick
