// Times oneDNN's convolution, each time in the fastest of the layouts below, reorders not counted. A request on stdin and its answer:
//   conv N,C,H,W,F,KH,KW,STRIDE,PADDING,GROUPS forward|data|weight ROUNDS      {"ms": [each round], "kernel": "brgconv:avx512_core nhwc"}
#include <algorithm>
#include <map>
#include <random>
#include <sstream>

#include "onednn.hpp"

using namespace yardstick;

namespace {

Convolution geometry_of(const std::string& text) {
  std::vector<memory::dim> v;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, ',');) v.push_back(std::stol(word));
  if (v.size() != 10) throw std::runtime_error("wanted ten numbers N,C,H,W,F,KH,KW,STRIDE,PADDING,GROUPS, got " + text);
  const auto n = v[0], c = v[1], h = v[2], w = v[3], f = v[4], kh = v[5], kw = v[6], s = v[7], p = v[8], g = v[9];
  const Dims weights = g == 1 ? Dims{f, c, kh, kw} : Dims{g, f / g, c / g, kh, kw};
  return {{n, c, h, w}, weights, {n, f, (h + 2 * p - kh) / s + 1, (w + 2 * p - kw) / s + 1}, {s, s}, {p, p}, {p, p}};
}

memory filled(const memory::desc& desc) {
  memory m(desc, engine());
  std::mt19937 random(1);
  std::uniform_real_distribution<float> unit(-1, 1);
  std::generate_n(static_cast<float*>(m.get_data_handle()), desc.get_size() / sizeof(float), [&] { return unit(random); });
  return m;
}

Call prepared(const Convolution& c, const std::string& direction, Tag x, Tag y) {
  Call call;
  if (direction == "forward") {
    const auto pd = forward_of(c, x, y, false, false);
    call.kernel = pd.impl_info_str();
    call.parts.push_back(
        {dnnl::convolution_forward(pd),
         {{DNNL_ARG_SRC, filled(pd.src_desc())}, {DNNL_ARG_WEIGHTS, filled(pd.weights_desc())}, {DNNL_ARG_DST, filled(pd.dst_desc())}}});
  } else if (direction == "data") {
    const auto pd = data_of(c, x, y);
    call.kernel = pd.impl_info_str();
    call.parts.push_back({dnnl::convolution_backward_data(pd),
                          {{DNNL_ARG_DIFF_SRC, filled(pd.diff_src_desc())},
                           {DNNL_ARG_WEIGHTS, filled(pd.weights_desc())},
                           {DNNL_ARG_DIFF_DST, filled(pd.diff_dst_desc())}}});
  } else if (direction == "weight") {
    const auto pd = weights_of(c, x, y);
    call.kernel = pd.impl_info_str();
    call.parts.push_back({dnnl::convolution_backward_weights(pd),
                          {{DNNL_ARG_SRC, filled(pd.src_desc())},
                           {DNNL_ARG_DIFF_WEIGHTS, filled(pd.diff_weights_desc())},
                           {DNNL_ARG_DIFF_DST, filled(pd.diff_dst_desc())}}});
  } else {
    throw std::runtime_error("wanted forward, data or weight, got " + direction);
  }
  return call;
}

Call best_of(const Convolution& c, const std::string& direction) {
  const std::map<Tag, const char*> layouts{
      {Tag::nhwc, "nhwc"}, {Tag::nchw, "nchw"}, {Tag::nChw8c, "nChw8c"}, {Tag::nChw16c, "nChw16c"}, {Tag::any, "any"}};
  std::vector<std::function<Call()>> makers;
  const auto add = [&](Tag x, Tag y) {
    makers.push_back([&, x, y] {
      Call call = prepared(c, direction, x, y);
      call.kernel += std::string(" ") + layouts.at(x) + (x == y ? "" : std::string(" to ") + layouts.at(y));
      return call;
    });
  };
  for (const auto& layout : layouts) add(layout.first, layout.first);
  if (c.x[1] < 8) add(Tag::nchw, Tag::nChw8c), add(Tag::nchw, Tag::nChw16c), add(Tag::nchw, Tag::nhwc);  // as first layers are computed
  return fastest(makers);
}

}  // namespace

int main(int argc, char** argv) {
  std::string prepared_for;
  Call call;
  return serve(argc, argv, "", [&](const std::string& line) {
    std::istringstream in(line);
    std::string word, shape, direction;
    int rounds = 0;
    if (!(in >> word >> shape >> direction >> rounds) || word != "conv")
      throw std::runtime_error("wanted conv SHAPE DIRECTION ROUNDS, got " + line);
    if (prepared_for != shape + direction) {
      call = best_of(geometry_of(shape), direction);
      prepared_for = shape + direction;
    }
    std::vector<double> ms;
    while (rounds-- > 0) ms.push_back(milliseconds(call));
    return "{\"ms\": " + listed(ms) + ", \"kernel\": \"" + call.kernel + "\"}";
  });
}
