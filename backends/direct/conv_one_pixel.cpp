// Rung direct, the gradient of x of a convolution with one output pixel: a matrix product over a few images at a time, seen as a 1x1
// convolution whose pixels are the images and whose channels are all that the filter covers. Times itself through
//   wengert bench conv --kernel direct
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

#include <wengert/backends/direct/conv_impl.hpp>

namespace wengert::direct {
namespace {

constexpr Index images_at_once = 8;

class OnePixelConv final : public Conv {
 public:
  explicit OnePixelConv(const ConvTask& task) : task_(task), rows_(row_functions()) {
    const ConvGeometry& g = task.geometry;
    for (Index r = 0; r < g.kernel_height; ++r)
      for (Index s = 0; s < g.kernel_width; ++s) pixels_.push_back(r * g.dilation_height * g.width + s * g.dilation_width);
    ConvTask product = task;
    product.gate = false;
    product.geometry = ConvGeometry{};
    product.geometry.channels = blocks() * plane_channels, product.geometry.filters = g.filters;
    product.geometry.width = product.geometry.out_width = images_at_once;
    inner_ = make_conv(product);
    inner_at_ = space_.add(inner_->workspace_floats());
    x_at_ = space_.add(blocks() * images_at_once * plane_channels);
    y_at_ = space_.add(planes_of(g.filters) * images_at_once * plane_channels);
    map_weights();
  }

  // The numbers of all weights must be exact in f32, which the map below is made with.
  static bool serves(const ConvTask& task) {
    const ConvGeometry& g = task.geometry;
    if (task.direction != ConvTask::Direction::data || task.x != Layout::nhwc8 || task.y != Layout::nhwc8) return false;
    if (g.groups != 1 || g.channels % plane_channels != 0 || g.pad_top + g.pad_left != 0) return false;
    if (g.out_height * g.out_width != 1 || g.height * g.width == 1) return false;
    return planes_of(g.filters) * planes_of(g.channels) * g.kernel_height * g.kernel_width < 100000;
  }

  std::string describe() const override { return fmt::format("{}, {} images a product", inner_->describe(), images_at_once); }
  Index packed_floats() const override { return static_cast<Index>(source_.size()); }
  void pack(const float* w, float* packed) const override {
    for (std::size_t i = 0; i < source_.size(); ++i) packed[i] = source_[i] < 0 ? 0.0f : w[source_[i]];
  }
  Index workspace_floats() const override { return space_.total(); }
  Index partial_floats() const override { return 0; }
  void finish(const float*, float*, float*) const override {}

  void run(const ConvCall& call) const override {
    const ConvGeometry& g = task_.geometry;
    const Index image = planes_of(g.channels) * g.height * g.width * plane_channels, y_image = planes_of(g.filters) * plane_channels;
    float *const x = call.workspace + x_at_, *const y = call.workspace + y_at_;
    ConvCall product;
    product.images = 1, product.y = y, product.w = call.w;
    product.workspace = call.workspace + inner_at_;
    product.out = x;
    for (Index n = 0; n < call.images; n += images_at_once) {
      const Index count = std::min(images_at_once, call.images - n);
      if (count < images_at_once)
        std::memset(y, 0, static_cast<std::size_t>(planes_of(g.filters) * images_at_once * plane_channels) * sizeof(float));
      for (Index i = 0; i < count; ++i)
        for (Index p = 0; p < planes_of(g.filters); ++p)
          copy_pixel(call.y + (n + i) * y_image + p * plane_channels, y + (p * images_at_once + i) * plane_channels);
      inner_->run(product);
      for (Index i = 0; i < count; ++i) {
        float* const out = call.out + (n + i) * image;
        std::memset(out, 0, static_cast<std::size_t>(image) * sizeof(float));
        for_each_block(out, x + i * plane_channels, [](float* to, const float* block) { copy_pixel(block, to); });
        if (task_.gate) rows_.gate(image, call.gate + (n + i) * image, out);
      }
    }
  }

 private:
  static void copy_pixel(const float* from, float* to) { std::memcpy(to, from, plane_channels * sizeof(float)); }

  Index blocks() const { return planes_of(task_.geometry.channels) * static_cast<Index>(pixels_.size()); }

  // body(pixel of the image, its block in the product's x).
  template <class Image, class Block, class Body>
  void for_each_block(Image* image, Block* block, const Body& body) const {
    const Index plane = task_.geometry.height * task_.geometry.width;
    for (Index p = 0; p < planes_of(task_.geometry.channels); ++p)
      for (const Index pixel : pixels_) {
        body(image + (p * plane + pixel) * plane_channels, block);
        block += images_at_once * plane_channels;
      }
  }

  // Found by sending numbers instead of values through the inner kernel.
  void map_weights() {
    const ConvGeometry& g = task_.geometry;
    const auto taps = static_cast<Index>(pixels_.size());
    std::vector<float> numbers(static_cast<std::size_t>(g.filters * blocks() * plane_channels));
    std::vector<float> packed(static_cast<std::size_t>(inner_->packed_floats()));
    Index number = 0;
    for (Index filter = 0; filter < g.filters; ++filter)
      for (Index c = 0; c < g.channels; ++c)
        for (Index t = 0; t < taps; ++t)
          numbers[static_cast<std::size_t>(((filter * planes_of(g.channels) + c / plane_channels) * taps + t) * plane_channels +
                                           c % plane_channels)] = static_cast<float>(++number);
    inner_->pack(numbers.data(), packed.data());
    for (const float found : packed) source_.push_back(static_cast<std::int32_t>(found) - 1);
  }

  ConvTask task_;
  RowFunctions rows_;
  std::vector<Index> pixels_;  // of the image, one a tap
  std::unique_ptr<const Conv> inner_;
  std::vector<std::int32_t> source_;  // of each packed weight in plain w; -1 for none
  Workspace space_;
  Index inner_at_ = 0, x_at_ = 0, y_at_ = 0;
};

}  // namespace

bool has_one_pixel(const ConvTask& task) { return OnePixelConv::serves(task); }
std::unique_ptr<const Conv> make_one_pixel_conv(const ConvTask& task) { return std::make_unique<OnePixelConv>(task); }

}  // namespace wengert::direct
