// One training step of the report's network as a chain of oneDNN primitives built by hand: primitives and memory made once, every activation
// channels last, which for 8 channels is nhwc and nChw8c at once, so each primitive takes the description under which it is faster here;
// ReLU within the first convolution, and after the pool, where it is a quarter of the work; Adam, the loss, and the gradients of ReLU and the
// biases by loops over OpenMP's threads. Requests as in peers/common.py: step mnist_cnn BATCH STEPS.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <sstream>

#include <zlib.h>

#include "onednn.hpp"

using namespace yardstick;

namespace {

using Long = std::int64_t;
constexpr Long classes = 10, hidden = 128, features = 800, pixels = 784;
// Where the weights lie in the flat parameters, in the order in which peers/common.py draws them.
constexpr Long conv1_w = 0, conv1_b = 200, conv2_w = 208, conv2_b = 1808, fc1_w = 1816, fc2_w = fc1_w + features * hidden,
               total = fc2_w + hidden * classes;

std::vector<unsigned char> unpacked(const std::string& path, std::size_t header, std::size_t count) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  std::vector<unsigned char> bytes(header + count);
  if (!file || gzread(file.get(), bytes.data(), static_cast<unsigned>(bytes.size())) != static_cast<int>(bytes.size())) {
    throw std::runtime_error("cannot read " + path);
  }
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(header));
  return bytes;
}

struct Data {
  explicit Data(const std::string& folder) : images(60000 * pixels), labels(unpacked(folder + "/train-labels-idx1-ubyte.gz", 8, 60000)) {
    const auto bytes = unpacked(folder + "/train-images-idx3-ubyte.gz", 16, images.size());
    std::transform(bytes.begin(), bytes.end(), images.begin(), [](unsigned char grey) { return static_cast<float>(grey) / 255; });
  }
  std::vector<float> images;
  std::vector<unsigned char> labels;
};

// peers/common.py's weights: splitmix64 of the position, He-uniform.
void draw(float* into, Long first, Long count, double fan_in) {
  for (Long i = 0; i < count; ++i) {
    std::uint64_t z = static_cast<std::uint64_t>(first + i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    into[i] = static_cast<float>((static_cast<double>((z ^ (z >> 31)) >> 40) / 8388608 - 1) * std::sqrt(6 / fan_in));
  }
}

class Chain {
 public:
  Chain(Long batch, const Data& data)
      : n_(batch),
        data_(data),
        x_(size(pixels)),
        h1_(size(24 * 24 * 8)),
        h2_(size(20 * 20 * 8)),
        p_(size(features)),
        h3_(size(hidden)),
        logits_(size(classes)),
        dh1_(h1_.size),
        dh2_(h2_.size),
        dp_(p_.size),
        dh3_(h3_.size),
        dlogits_(logits_.size),
        w_(total),
        g_(total),
        m_(total),
        v_(total) {
    build_convolutions();
    build_pool();
    build_linear(hidden, features, fc1_w, p_, h3_, dp_, dh3_, true, fc1_forward_, fc1_backward_, fc1_storage_);
    build_linear(classes, hidden, fc2_w, h3_, logits_, dh3_, dlogits_, false, fc2_forward_, fc2_backward_, fc2_storage_);
    start();
  }

  double step() {
    const Long first = steps_ % (60000 / n_) * n_;
    ++steps_;
    float* const image = const_cast<float*>(data_.images.data() + first * pixels);  // read only
    for (const auto& memory : image_memories_) memory.set_data_handle(image);
    conv1_forward_();
    conv2_forward_();
    pool_forward_();
    relu(p_);
    fc1_forward_();
    fc2_forward_();
    const double loss = cross_entropy(data_.labels.data() + first);
    fc2_backward_();
    relu_gradient(h3_, dh3_);
    fc1_backward_();
    relu_gradient(p_, dp_, g_.data + conv2_b);
    pool_backward_();
    conv2_backward_();
    relu_gradient(h1_, dh1_, g_.data + conv1_b);
    conv1_backward_();
    adam();
    return loss;
  }

  std::string settings() const {
    return "conv1 " + conv1_forward_.kernel + ", " + conv1_backward_.kernel + "; conv2 " + conv2_forward_.kernel + ", " +
           conv2_backward_.kernel + "; pool " + pool_forward_.kernel + "; fc1 " + fc1_forward_.kernel + "; fc2 " + fc2_forward_.kernel;
  }

 private:
  std::size_t size(Long each) const { return static_cast<std::size_t>(n_ * each); }
  static memory at(const memory::desc& desc, float* data) { return {desc, engine(), data}; }
  static const char* name(Tag tag) { return tag == Tag::nhwc ? " nhwc" : tag == Tag::nchw ? " nchw" : " nChw8c"; }

  // Gradients into g_ in plain order: through a copy where the primitive wants another.
  static void weight_gradients(Call& call, const dnnl::convolution_backward_weights::primitive_desc& pd, const memory& x, const memory& y,
                               const memory& plain) {
    const memory w = pd.diff_weights_desc() == plain.get_desc() ? plain : memory(pd.diff_weights_desc(), engine());
    call.parts.push_back({dnnl::convolution_backward_weights(pd), {{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, y}, {DNNL_ARG_DIFF_WEIGHTS, w}}});
    if (w != plain) call.parts.push_back({dnnl::reorder(w, plain), {{DNNL_ARG_FROM, w}, {DNNL_ARG_TO, plain}}});
  }

  void build_convolutions() {
    const Convolution one{{n_, 1, 28, 28}, {8, 1, 5, 5}, {n_, 8, 24, 24}, {1, 1}, {0, 0}, {0, 0}};
    const Convolution two{{n_, 8, 24, 24}, {8, 8, 5, 5}, {n_, 8, 20, 20}, {1, 1}, {0, 0}, {0, 0}};
    const auto forward = [this](const Convolution& c, Tag x, Tag y, bool relu, float* from, float* to, Long w, Long b) {
      const auto pd = forward_of(c, x, y, true, relu);
      Call call;
      call.kernel = pd.impl_info_str() + std::string(name(x)) + name(y);
      const memory in = at(pd.src_desc(), from), weights = call.input(at(f32(c.w, Tag::oihw), w_.data + w), pd.weights_desc());
      call.parts.push_back({dnnl::convolution_forward(pd),
                            {{DNNL_ARG_SRC, in},
                             {DNNL_ARG_WEIGHTS, weights},
                             {DNNL_ARG_BIAS, at(pd.bias_desc(), w_.data + b)},
                             {DNNL_ARG_DST, at(pd.dst_desc(), to)}}});
      return call;
    };
    const auto data = [this](const Convolution& c, Tag tag, float* from, float* to, Long w) {
      const auto pd = data_of(c, tag, tag);
      Call call;
      call.kernel = pd.impl_info_str() + std::string(name(tag));
      const memory weights = call.input(at(f32(c.w, Tag::oihw), w_.data + w), pd.weights_desc());
      call.parts.push_back({dnnl::convolution_backward_data(pd),
                            {{DNNL_ARG_DIFF_DST, at(pd.diff_dst_desc(), from)},
                             {DNNL_ARG_WEIGHTS, weights},
                             {DNNL_ARG_DIFF_SRC, at(pd.diff_src_desc(), to)}}});
      return call;
    };
    const auto weight = [this](const Convolution& c, Tag x, Tag y, float* in, float* dy, Long w) {
      const auto pd = weights_of(c, x, y);
      Call call;
      call.kernel = pd.impl_info_str() + std::string(name(x)) + name(y);
      weight_gradients(call, pd, at(pd.src_desc(), in), at(pd.diff_dst_desc(), dy), at(f32(c.w, Tag::oihw), g_.data + w));
      return call;
    };
    const auto either = [](const std::function<Call(Tag)>& make) {
      return fastest({[&] { return make(Tag::nhwc); }, [&] { return make(Tag::nChw8c); }});
    };
    const auto of_image = [&](const std::function<Call(Tag, Tag)>& make) {  // whose one channel is nchw and nhwc at once
      return fastest({[&] { return make(Tag::nchw, Tag::nhwc); }, [&] { return make(Tag::nhwc, Tag::nhwc); },
                      [&] { return make(Tag::nchw, Tag::nChw8c); }, [&] { return make(Tag::nhwc, Tag::nChw8c); }});
    };
    conv1_forward_ = of_image([&](Tag x, Tag y) { return forward(one, x, y, true, x_.data, h1_.data, conv1_w, conv1_b); });
    conv2_forward_ = either([&](Tag y) { return forward(two, y, y, false, h1_.data, h2_.data, conv2_w, conv2_b); });
    conv2_backward_ = either([&](Tag y) { return data(two, y, dh2_.data, dh1_.data, conv2_w); });
    const Call weights2 = either([&](Tag y) { return weight(two, y, y, h1_.data, dh2_.data, conv2_w); });
    conv2_backward_.parts.insert(conv2_backward_.parts.end(), weights2.parts.begin(), weights2.parts.end());
    conv2_backward_.kernel += ", " + weights2.kernel;
    conv1_backward_ = of_image([&](Tag x, Tag y) { return weight(one, x, y, x_.data, dh1_.data, conv1_w); });
    image_memories_ = {conv1_forward_.parts.back().second.at(DNNL_ARG_SRC), conv1_backward_.parts.front().second.at(DNNL_ARG_SRC)};
  }

  void build_pool() {
    const Dims in{n_, 8, 20, 20}, out{n_, 8, 10, 10}, two{2, 2}, none{0, 0};
    const auto max = dnnl::algorithm::pooling_max;
    std::map<Tag, Call> backward;
    const auto forward = [&](Tag tag) {
      const memory::desc xd = f32(in, tag), yd = f32(out, tag);
#if DNNL_VERSION_MAJOR >= 3
      const dnnl::pooling_forward::primitive_desc pd(engine(), dnnl::prop_kind::forward_training, max, xd, yd, two, two, none, none, none);
      const dnnl::pooling_backward::primitive_desc back(engine(), max, xd, yd, two, two, none, none, none, pd);
#else
      const dnnl::pooling_forward::primitive_desc pd({dnnl::prop_kind::forward_training, max, xd, yd, two, two, none, none}, engine());
      const dnnl::pooling_backward::primitive_desc back({max, xd, yd, two, two, none, none}, engine(), pd);
#endif
      const memory winners(pd.workspace_desc(), engine());
      Call call;
      call.kernel = pd.impl_info_str() + std::string(name(tag));
      call.parts.push_back(
          {dnnl::pooling_forward(pd), {{DNNL_ARG_SRC, at(xd, h2_.data)}, {DNNL_ARG_DST, at(yd, p_.data)}, {DNNL_ARG_WORKSPACE, winners}}});
      Call& other = backward[tag];
      other.parts = {{dnnl::pooling_backward(back),
                      {{DNNL_ARG_DIFF_DST, at(yd, dp_.data)}, {DNNL_ARG_DIFF_SRC, at(xd, dh2_.data)}, {DNNL_ARG_WORKSPACE, winners}}}};
      Call both = call;  // timed together: they share the winners
      both.parts.push_back(other.parts[0]);
      return both;
    };
    pool_forward_ = fastest({[&] { return forward(Tag::nhwc); }, [&] { return forward(Tag::nChw8c); }});
    pool_backward_.parts = {pool_forward_.parts.back()};
    pool_forward_.parts.pop_back();
  }

  // y = relu?(x w'), w stored in the order in which all three products together are fastest; one of the two gradients is by x.
  void build_linear(Long outputs, Long inputs, Long w, Buffer& x, Buffer& y, Buffer& dx, Buffer& dy, bool relu, Call& forward,
                    Call& backward, memory::desc& storage) {
    const memory::desc xd = f32({n_, inputs}, Tag::ab), yd = f32({n_, outputs}, Tag::ab);
    const auto product = [&](const memory::desc& wd, bool activate) {
      const auto prop = dnnl::prop_kind::forward_training;
#if DNNL_VERSION_MAJOR >= 3
      return dnnl::inner_product_forward::primitive_desc(engine(), prop, xd, wd, memory::desc(), yd, with_relu(activate));
#else
      return dnnl::inner_product_forward::primitive_desc({prop, xd, wd, yd}, with_relu(activate), engine());
#endif
    };
    const Dims shape{outputs, inputs};
    std::map<std::string, memory::desc> storages;
    const auto make = [&](const memory::desc& wd) {
      Call call;
      const auto pd = product(wd, relu), hint = product(wd, false);
      call.kernel = pd.impl_info_str();
#if DNNL_VERSION_MAJOR >= 3
      const dnnl::inner_product_backward_data::primitive_desc data(engine(), xd, wd, yd, hint);
      const dnnl::inner_product_backward_weights::primitive_desc weights(engine(), xd, wd, memory::desc(), yd, hint);
#else
      const dnnl::inner_product_backward_data::primitive_desc data({xd, wd, yd}, engine(), hint);
      const dnnl::inner_product_backward_weights::primitive_desc weights({xd, wd, yd}, engine(), hint);
#endif
      const memory wm = at(wd, w_.data + w);
      call.parts = {
          {dnnl::inner_product_forward(pd), {{DNNL_ARG_SRC, at(xd, x.data)}, {DNNL_ARG_WEIGHTS, wm}, {DNNL_ARG_DST, at(yd, y.data)}}},
          {dnnl::inner_product_backward_weights(weights),
           {{DNNL_ARG_SRC, at(xd, x.data)}, {DNNL_ARG_DIFF_WEIGHTS, at(wd, g_.data + w)}, {DNNL_ARG_DIFF_DST, at(yd, dy.data)}}},
          {dnnl::inner_product_backward_data(data),
           {{DNNL_ARG_WEIGHTS, wm}, {DNNL_ARG_DIFF_DST, at(yd, dy.data)}, {DNNL_ARG_DIFF_SRC, at(xd, dx.data)}}}};
      return call;
    };
    const auto stored = [&](const std::string& called, const memory::desc& wd) {
      if (wd.get_size() != sizeof(float) * static_cast<std::size_t>(outputs * inputs)) throw dnnl::error(dnnl_unimplemented, "padded");
      storages.emplace(called, wd);
      Call call = make(wd);
      call.kernel += " " + called;
      return call;
    };
    forward = fastest({[&] { return stored("oi", f32(shape, Tag::ab)); }, [&] { return stored("io", f32(shape, Tag::ba)); },
                       [&] { return stored("any", product(f32(shape, Tag::any), relu).weights_desc()); }});
    storage = storages.at(forward.kernel.substr(forward.kernel.rfind(' ') + 1));
    backward.parts = {forward.parts[1], forward.parts[2]};
    forward.parts.resize(1);
  }

  void start() {
    for (Buffer* state : {&w_, &m_, &v_}) std::fill_n(state->data, state->size, 0.0f);
    draw(w_.data + conv1_w, conv1_w, 200, 25);
    draw(w_.data + conv2_w, conv2_w, 1600, 200);
    Buffer drawn(features * hidden), permuted(features * hidden);
    draw(drawn.data, fc1_w, features * hidden, features);
    for (Long o = 0; o < hidden; ++o) {
      for (Long i = 0; i < features; ++i)
        permuted.data[o * features + i % 100 * 8 + i / 100] = drawn.data[o * features + i];  // (C,H,W) to (H,W,C)
    }
    store({hidden, features}, permuted, fc1_storage_, w_.data + fc1_w);
    draw(drawn.data, fc2_w, hidden * classes, hidden);
    store({classes, hidden}, drawn, fc2_storage_, w_.data + fc2_w);
    steps_ = 0;
  }

  static void store(const Dims& dims, const Buffer& plain, const memory::desc& storage, float* into) {
    memory from = at(f32(dims, Tag::ab), plain.data), to = at(storage, into);
    dnnl::reorder(from, to).execute(stream(), from, to);
  }

  static void relu(Buffer& x) {
    float* const p = x.data;
#pragma omp parallel for simd schedule(static)
    for (std::size_t i = 0; i < x.size; ++i) p[i] = p[i] > 0 ? p[i] : 0;
  }

  // The same, and the sums over the 8 channels that lie innermost: the gradient of the convolution's bias.
  static void relu_gradient(const Buffer& y, Buffer& dy, float* bias) {
    const float* const a = y.data;
    float* const d = dy.data;
    float sums[8] = {};
#pragma omp parallel for schedule(static) reduction(+ : sums[:8])
    for (std::size_t i = 0; i < y.size / 32; ++i) {
      float part[32];
#pragma omp simd
      for (std::size_t j = 0; j < 32; ++j) d[32 * i + j] = part[j] = a[32 * i + j] > 0 ? d[32 * i + j] : 0;
#pragma omp simd
      for (std::size_t j = 0; j < 8; ++j) sums[j] += (part[j] + part[j + 8]) + (part[j + 16] + part[j + 24]);
    }
    std::copy_n(sums, 8, bias);
  }

  static void relu_gradient(const Buffer& y, Buffer& dy) {
    const float* const a = y.data;
    float* const d = dy.data;
#pragma omp parallel for simd schedule(static)
    for (std::size_t i = 0; i < y.size; ++i) d[i] = a[i] > 0 ? d[i] : 0;
  }

  double cross_entropy(const unsigned char* labels) {
    double loss = 0;
#pragma omp parallel for schedule(static) reduction(+ : loss)
    for (Long image = 0; image < n_; ++image) {
      const float* const a = logits_.data + image * classes;
      float* const d = dlogits_.data + image * classes;
      const float most = *std::max_element(a, a + classes);
      float sum = 0;
      for (Long k = 0; k < classes; ++k) sum += d[k] = std::exp(a[k] - most);
      for (Long k = 0; k < classes; ++k) d[k] = (d[k] / sum - (k == labels[image] ? 1.0f : 0.0f)) / static_cast<float>(n_);
      loss += std::log(sum) + most - a[labels[image]];
    }
    return loss / static_cast<double>(n_);
  }

  void adam() {
    constexpr float beta1 = 0.95f, beta2 = 0.99f, epsilon = 1e-8f, rate = 1e-3f;
    const auto t = static_cast<float>(steps_);
    const float scale1 = rate / (1 - std::pow(beta1, t)), scale2 = 1 / (1 - std::pow(beta2, t));
    float *const w = w_.data, *const m = m_.data, *const v = v_.data;
    const float* const g = g_.data;
#pragma omp parallel for simd schedule(static)
    for (Long i = 0; i < total; ++i) {
      m[i] = beta1 * m[i] + (1 - beta1) * g[i];
      v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
      w[i] -= scale1 * m[i] / (std::sqrt(v[i] * scale2) + epsilon);
    }
  }

  Long n_, steps_ = 0;
  const Data& data_;
  Buffer x_, h1_, h2_, p_, h3_, logits_, dh1_, dh2_, dp_, dh3_, dlogits_, w_, g_, m_, v_;
  Call conv1_forward_, conv2_forward_, pool_forward_, fc1_forward_, fc2_forward_;
  Call conv1_backward_, conv2_backward_, pool_backward_, fc1_backward_, fc2_backward_;
  memory::desc fc1_storage_, fc2_storage_;
  std::vector<memory> image_memories_;
};

}  // namespace

int main(int argc, char** argv) {
  std::unique_ptr<Data> data;
  std::map<Long, std::unique_ptr<Chain>> chains;
  return serve(argc, argv, "\"mnist_cnn\"", [&](const std::string& line) {
    std::istringstream in(line);
    std::string kind, network;
    Long batch = 0, steps = 0;
    if (!(in >> kind >> network >> batch >> steps) || kind != "step" || network != "mnist_cnn" || batch < 1 || batch > 60000) {
      throw std::runtime_error("wanted step mnist_cnn BATCH STEPS, got " + line);
    }
    if (!data) data = std::make_unique<Data>(MNIST_FOLDER);
    auto& chain = chains[batch];
    if (!chain) chain = std::make_unique<Chain>(batch, *data);
    std::vector<double> ms;
    double loss = 0;
    while (steps-- > 0) ms.push_back(milliseconds([&] { loss = chain->step(); }));
    return "{\"ms\": " + listed(ms) + ", \"loss\": " + std::to_string(loss) + ", \"settings\": \"" + chain->settings() + "\"}";
  });
}
