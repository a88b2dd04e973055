// wengert predict: the class of pictures, or of images of the test set, drawn in the terminal.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <wengert/engine/error.hpp>
#include <wengert/models/files/png.hpp>
#include <wengert/models/predictor.hpp>
#include <wengert/models/saved.hpp>
#include <wengert/ops/softmax.hpp>

#include "command.hpp"
#include "data.hpp"
#include "json.hpp"
#include "options.hpp"
#include "picture.hpp"

namespace wengert::command {

namespace {

struct PredictArguments {
  std::string model, script, data;
  std::vector<std::string> pictures;
  std::vector<Index> indices;
  bool invert = false, json = false, eager = false;
  Device device;
};

struct Subject {
  std::string name;
  Tensor image;      // f32 (1,C,H,W)
  Index label = -1;  // where it is known
};

Subject from_picture(const std::string& path, const Shape& input, bool invert, bool digits) {
  if (input[0] != 1) fail(fmt::format("[predict] wanted a model of grey images, this one takes {} channels", input[0]));
  GreyImage grey = bright_on_black(read_png(path), invert);
  if (is_blank(grey)) warn("'" + path + "' is blank");
  if (grey.height != input[1] || grey.width != input[2]) {
    try {
      grey = digits ? framed_as_digit(grey, input[1], input[2]) : resize_area(grey, input[1], input[2]);
    } catch (const Error& error) {
      fail("[predict '" + path + "'] " + error.what());
    }
  }
  std::vector<float> values;
  constexpr float white = 255.0f;
  for (const std::uint8_t pixel : grey.pixels) values.push_back(static_cast<float>(pixel) / white);
  return {path, Tensor::copy(values.data(), {1, 1, input[1], input[2]}), -1};
}

void draw(const Tensor& image) {
  constexpr const char* shades[] = {" ", ".", ":", "+", "*", "#", "@"};
  constexpr Index levels = 7;
  const Index height = image.shape()[2], width = image.shape()[3];
  for (Index y = 0; y < height; ++y) {
    std::string line;
    for (Index x = 0; x < width; ++x) {
      const auto level = std::clamp<Index>(static_cast<Index>(image.at(y * width + x) * levels), 0, levels - 1);
      line += shades[level];
      line += shades[level];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    if (!line.empty()) fmt::print("  {}\n", line);
  }
}

int run(const PredictArguments& a) {
  if (a.pictures.empty() && a.indices.empty()) fail("[predict] wanted pictures, or --index of the test set");
  const Script script = script_of(a.model, a.script);
  const bool digits = script.data.empty();  // MNIST's
  Model model = load_model(a.model, script);
  model.to(a.device);
  std::vector<Subject> subjects;
  for (const std::string& picture : a.pictures) subjects.push_back(from_picture(picture, model.image(), a.invert, digits));
  if (!a.indices.empty()) {
    const Dataset set = open_dataset_of(a.model, a.data, script.data, Split::test);
    set.want_images("predict", model.image());
    for (const Index index : a.indices) {
      if (index < 0 || index >= set.size()) fail(fmt::format("[predict] wanted an index in [0,{}), got {}", set.size(), index));
      const Dataset::Batch one = set.gather(&index, 1);
      subjects.push_back({fmt::format("test image {}", index), one.images, static_cast<Index>(one.labels.item())});
    }
  }
  std::optional<Predictor> predictor;
  if (!a.eager) predictor.emplace(model, 1);
  const auto logits_of = [&](const Tensor& image) {
    if (!predictor) return model(image.to(a.device)).to({});
    predictor->set_images(image);
    return Tensor::copy(predictor->run().read<float>(), Shape{1, model.classes()});
  };
  nlohmann::json out = nlohmann::json::array();
  for (const Subject& subject : subjects) {
    const Tensor p = softmax(Var(logits_of(subject.image))).value();
    const auto values = p.values<float>();
    if (!std::isfinite(values[0])) fail("[predict '" + subject.name + "'] the network gives values that are not finite");
    const Index guess = std::max_element(values.begin(), values.end()) - values.begin();
    if (a.json) {
      nlohmann::json entry = {
          {"name", subject.name}, {"class", guess}, {"probabilities", std::vector<float>(values.begin(), values.end())}};
      if (subject.label >= 0) entry["label"] = subject.label;
      out.push_back(entry);
      continue;
    }
    const std::string truth = subject.label < 0 ? "" : subject.label == guess ? ", right" : fmt::format(", wrong: it is {}", subject.label);
    fmt::print("{}: {} ({:.1f}%{})\n", subject.name, guess, 100 * p.at(guess), truth);
    draw(subject.image);
  }
  if (a.json) print_line(json_text(out, -1));
  return success;
}

}  // namespace

void add_predict(CLI::App& app, int& status) {
  auto a = std::make_shared<PredictArguments>();
  CLI::App* sub = app.add_subcommand("predict", "Show the class of PNG pictures, or of images of the test set");
  sub->footer("Examples:\n  wengert predict model.safetensors digit.png\n  wengert predict model.safetensors --index 0 1 2");
  sub->add_option("model", a->model, "Saved model")->required();
  sub->add_option(
      "pictures", a->pictures,
      "PNG files, inverted where dark on light; a digit of another size than the model's is cropped, scaled and centred as MNIST's are");
  sub->add_option("--index", a->indices, "Images of the test set, counted from 0")->check(whole_number(0));
  sub->add_option("--script", a->script, "The model's script, where its file carries none");
  sub->add_option("--data", a->data, "Folder with the IDX files of a data set");
  sub->add_flag("--invert", a->invert, "Turn the choice of dark on light round");
  add_device(*sub, a->device);
  sub->add_flag("--eager", a->eager, "Run op by op, instead of a plan");
  sub->add_flag("--json", a->json, "Print JSON");
  sub->callback([a, &status] { status = run(*a); });
}

}  // namespace wengert::command
