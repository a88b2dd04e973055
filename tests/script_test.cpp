// Model scripts: what they build, that they equal networks composed in C++, and every way of getting one wrong.
#include <algorithm>

#include <doctest/doctest.h>

#include <wengert/engine/error.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/models/mnist_cnn.hpp>
#include <wengert/models/saved.hpp>
#include <wengert/models/script.hpp>
#include <wengert/models/trainer.hpp>

#include "scratch_folder.hpp"
#include "source_folder.hpp"

namespace {

using namespace wengert;
using test::contains;

std::string script_file(const std::string& name) { return (test::source_folder() / "tools" / "scripts" / (name + ".toml")).string(); }

Model model_of(const Script& script) { return Model(script.network, script.input, script.text); }

// A script of these layers (a line each, from line 3 on) for 8x8 images of 2 channels.
Script with_layers(const std::string& layers, const std::string& rest = {}) {
  return parse_script("input = [2, 8, 8]\nlayers = [\n" + layers + "\n]\n" + rest, "test.toml");
}

std::string error_of(const std::string& layers, const std::string& rest = {}) {
  return test::message_of<Error>([&] { with_layers(layers, rest); });
}

const char* const good = "{ flatten = {} },\n{ linear = \"fc\", units = 3 },";

// One line that names the script's line and says what is wrong.
void says(const std::string& error, const char* line, const char* part) {
  CAPTURE(error);
  CHECK(contains(error, std::string("[script 'test.toml' line ") + line + "] "));
  CHECK(contains(error, part));
  CHECK_FALSE(contains(error, "\n"));
}

Tensor noise(const Shape& shape, const char* name) {
  const RandomStream stream = random_stream(7, name);
  Tensor values = Tensor::zeros(shape);
  float* const to = values.mutable_view().write<float>();
  for (Index i = 0; i < shape.elements(); ++i) to[i] = static_cast<float>(stream.uniform(i));
  return values;
}

}  // namespace

TEST_CASE("mnist_cnn.toml gives the parameters and losses of MnistCnn, bit by bit") {
  const Script script = read_script(script_file("mnist_cnn"));
  Trainer by_script(script.network, script.optimiser, script.options, script.input, script.text);
  Adam by_the_report = Adam::report();
  by_the_report.rate = 3e-3;
  Trainer by_hand(MnistCnn{}, by_the_report, {}, {1, 28, 28});
  CHECK(by_script.model().parameter_count() == 105'496);
  constexpr Index batch = 8;
  const Tensor images = noise({batch, 1, 28, 28}, "images");
  const Tensor labels = Tensor{3, 1, 4, 1, 5, 9, 2, 6};
  for (int step = 0; step < 3; ++step) CHECK(by_script.step(images, labels) == by_hand.step(images, labels));
  const auto& ours = by_script.model().parameters();
  const auto& theirs = by_hand.model().parameters();
  REQUIRE(ours.size() == theirs.size());
  for (std::size_t p = 0; p < ours.size(); ++p) {
    CAPTURE(ours[p].name());
    CHECK(ours[p].name() == theirs[p].name());
    const Tensor mine = ours[p].value(), other = theirs[p].value();
    REQUIRE(mine.spec() == other.spec());
    const auto a = mine.values<float>(), b = other.values<float>();
    CHECK(std::equal(a.begin(), a.end(), b.begin()));
  }
}

TEST_CASE("the scripts that come with Wengert have the parameters their comments say") {
  const auto count = [](const char* name) { return model_of(read_script(script_file(name))).parameter_count(); };
  CHECK(count("lenet5") == 61'706);
  CHECK(count("mlp") == 101'770);
  CHECK(count("fashion") == 206'922);
  CHECK(count("resnet") == 19'706);
}

TEST_CASE("training settings are read") {
  const Script script =
      with_layers(good,
                  "[train]\nbatch = 32\nepochs = 9\nvalidation = 100\nexamples = 1000\npatience = 2\nkeep_best = true\nseed = 5\n"
                  "optimiser = { sgd = { rate = 1, momentum = 0.5, weight_decay = 0.01 } }\n"
                  "schedule = { step = { factor = 0.5, every = 3 } }\nwarm_up = 10\nrate_groups = [{ prefix = \"fc\", factor = 0.1 }]\n");
  CHECK(script.name == "test");
  CHECK(script.options.batch == 32);
  CHECK(script.options.seed == 5);
  CHECK(script.options.schedule.kind == Schedule::Kind::step);
  CHECK(script.options.schedule.factor == 0.5);
  CHECK(script.options.schedule.every == 3);
  CHECK(script.options.schedule.warm_up == 10);
  REQUIRE(script.options.rate_groups.size() == 1);
  CHECK(script.options.rate_groups[0].prefix == "fc");
  CHECK(script.fit.epochs == 9);
  CHECK(script.fit.validation == 100);
  CHECK(script.fit.examples == 1000);
  CHECK(script.fit.patience == 2);
  CHECK(script.fit.keep_best);
  const Sgd sgd = std::get<Sgd>(script.optimiser);
  CHECK(sgd.rate == 1.0);
  CHECK(sgd.momentum == 0.5);
  CHECK(sgd.weight_decay == 0.01);
  CHECK(std::get<Adam>(with_layers(good, "[train]\noptimiser = { adam = { rate = 0.5 } }").optimiser).beta1 == 0.9);
  CHECK(std::get<Adam>(with_layers(good).optimiser).beta1 == 0.95);
  CHECK(with_layers(good, "[train]\nschedule = \"cosine\"").options.schedule.kind == Schedule::Kind::cosine);
}

TEST_CASE("every kind of layer, branches, and names") {
  const Script script = with_layers(R"(
    { conv2d = "c1", filters = 4, size = [3, 1], padding = "same", groups = 2, activation = "relu" },
    { batch_norm = {}, momentum = 0.5 }, { tanh = "t" },
    { name = "c2", from = "input", conv2d = { filters = 4, size = 3, dilation = 2, padding = [2, 2, 2, 2], bias = false } },
    { sigmoid = {} },
    { name = "sum", from = ["t", "sigmoid1", "c1"], add = {} },
    { concat = "both", from = ["sum", "input"], axis = 1 },
    { max_pool2d = {}, window = 3, stride = 2, padding = "same" },
    { average_pool2d = {}, window = [2, 1], padding = "full" },
    { dropout = "d", rate = 0.5 },
    { global_average_pool2d = {} },
    { linear = "out", units = 3 },)");
  const Model model = model_of(script);
  CHECK(model.classes() == 3);
  std::string names;
  for (const Parameter& parameter : model.parameters()) names += parameter.name() + parameter.shape().text() + " ";
  CHECK(names ==
        "c1.weight(4,1,3,1) c1.bias(4) batch_norm1.gamma(4) batch_norm1.beta(4) batch_norm1.mean(4) batch_norm1.variance(4) "
        "c2.weight(4,2,3,3) out.weight(3,6) out.bias(3) ");
  const Tensor logits = model(noise({5, 2, 8, 8}, "x"));
  CHECK(logits.shape() == Shape{5, 3});
}

TEST_CASE("nodes bear the layer's name and the script's line") {
  const Script script = with_layers(good);
  Tape tape(Tape::Mode::declaring);
  const Var y = script.network(tape.batch(Tensor::declared({{4, 2, 8, 8}, DType::f32}), "x"));
  const Node& node = tape.node(y.node());
  CHECK(node.name == "fc");
  CHECK(node.site.text() == "test.toml:4");
  REQUIRE(script.layers.size() == 2);
  CHECK(script.layers[0].name == "flatten1");
  CHECK(script.layers[1].kind == "linear");
  CHECK(script.layers[1].line == 4);
}

TEST_CASE("what is wrong with a script is said with its line and the nearest valid name") {
  const std::string end = good;
  says(error_of("{ conv2d = \"c\", filers = 3, size = 3 },\n" + end), "3", "unknown key 'filers'; did you mean 'filters'?");
  says(error_of("{ conv2d = { filters = 3, sise = 3 } },\n" + end), "3", "unknown key 'sise'; did you mean 'size'?");
  says(error_of("{ conv2 = \"c\", filters = 3, size = 3 },\n" + end), "3", "unknown layer 'conv2'; did you mean 'conv2d'?");
  says(error_of("{ wavelet = {} },\n" + end), "3", "unknown layer 'wavelet'; valid: conv2d, linear");
  says(error_of("{ name = \"x\" },\n" + end), "3", "wanted a kind of layer");
  says(error_of("{ relu = {}, tanh = {} },\n" + end), "3", "wanted one kind of layer");
  says(error_of("{ relu = true },\n" + end), "3", "'relu': wanted the layer's name or a table, got true or false");
  says(error_of("{ relu = \"a\", name = \"b\" },\n" + end), "3", "two names");
  says(error_of("7,\n" + end), "3", "wanted a layer");
  says(error_of("{ conv2d = \"c\", size = 3 },\n" + end), "3", "wanted the key 'filters'");
  says(error_of("{ conv2d = \"c\", filters = -3, size = 3 },\n" + end), "3", "'filters': wanted a whole number in [1, 1048576], got -3");
  says(error_of("{ conv2d = \"c\", filters = \"three\", size = 3 },\n" + end), "3", "got 'three'");
  says(error_of("{ conv2d = \"c\", filters = 3, size = [3] },\n" + end), "3", "wanted [height, width]");
  says(error_of("{ conv2d = \"c\", filters = 3, size = 3, padding = \"sane\" },\n" + end), "3", "did you mean 'same'?");
  says(error_of("{ conv2d = \"c\", filters = 3, size = 3, init = \"glorto\" },\n" + end), "3", "did you mean 'glorot'?");
  says(error_of("{ flatten = {} },\n{ linear = \"l\", units = 3, init = 1 },"), "4", "'init': wanted");
  says(error_of("{ linear = \"l\", units = 3, int = \"he\" },"), "3", "unknown key 'int'; did you mean 'init'?");
  says(error_of("{ conv2d = \"c\", filters = 3, size = 3, padding = [1, 2] },\n" + end), "3", "wanted [top, bottom, left, right]");
  says(error_of("{ conv2d = \"c\", filters = 3, size = 3, groups = 2 },\n" + end), "3", "groups");
  says(error_of("{ conv2d = \"c\", filters = 3, size = 9 },\n" + end), "3", "test.toml:3] wanted a filter no larger than the padded input");
  says(error_of("{ conv2d = \"c\", filters = 1048576, size = 1048576 },\n" + end), "3", "more weights");
  const std::string huge = "input = [65536, 16, 16]\nlayers = [{ flatten = {} }, { batch_norm = {} }]";
  says(test::message_of<Error>([&] { parse_script(huge, "test.toml", 1000); }), "2", "more weights");
  says(error_of("{ max_pool2d = {}, window = 9 },\n" + end), "3", "wanted a window no larger than the padded input");
  says(error_of("{ linear = \"l\", units = 3 },"), "3", "a flatten layer before it makes that");
  says(error_of(end + "\n{ conv2d = \"c\", filters = 3, size = 1 },"), "5", "wanted x (N,C,H,W), got (N,3)");
  says(error_of("{ relu = {} },"), "3", "wanted logits (N,classes)");
  says(error_of(""), "2", "wanted at least one layer");
  says(error_of("{ dropout = {}, rate = 1.0 },\n" + end), "3", "'rate': wanted a number in");
  says(error_of("{ dropout = {}, rate = nan },\n" + end), "3", "got nan");
  says(error_of("{ relu = \"a\" },\n{ tanh = \"a\" },\n" + end), "4", "two layers are named 'a', the first on line 3");
  says(error_of("{ relu = \"input\" },\n" + end), "3", "that is the image");
  says(error_of("{ relu = \"first\", from = \"later\" },\n{ tanh = \"later\" },\n" + end), "3", "'later' comes later, on line 4");
  says(error_of("{ relu = \"me\", from = \"me\" },\n" + end), "3", "takes itself");
  says(error_of("{ relu = \"trunk\" },\n{ tanh = {}, from = \"trunc\" },\n" + end), "4", "unknown layer 'trunc'; did you mean 'trunk'?");
  says(error_of("{ add = \"s\", from = \"input\" },\n" + end), "3", "add takes 2 to 16 values");
  says(error_of("{ relu = {}, from = [\"input\", \"input\"] },\n" + end), "3", "relu takes one value");
  says(error_of("{ max_pool2d = \"p\", window = 2 },\n{ add = \"s\", from = [\"p\", \"input\"] },\n" + end), "4",
       "got (N,2,4,4) and (N,2,8,8)");
  says(error_of("{ max_pool2d = \"p\", window = 2 },\n{ concat = \"s\", from = [\"p\", \"input\"] },\n" + end), "4",
       "agree on all axes but 1");
  says(error_of("{ concat = \"s\", from = [\"input\", \"input\"], axis = 0 },\n" + end), "3", "'axis': wanted a whole number in [1, 3]");
  says(error_of("{ relu = \"dead\" },\n{ flatten = {}, from = \"input\" },\n{ linear = {}, units = 2 },"), "3", "no layer takes 'dead'");
  says(error_of("{ relu = {} }\n{ tanh = {} }"), "4", "");
  says(error_of(end, "[trian]"), "6", "unknown key 'trian'; did you mean 'train'?");
  says(error_of(end, "[train]\nbatch = 0"), "7", "'batch': wanted a whole number in");
  says(error_of(end, "[train]\noptimiser = { adan = {} }"), "7", "did you mean 'adam'?");
  says(error_of(end, "[train]\noptimiser = { adam = { rat = 1 } }"), "7", "did you mean 'rate'?");
  says(error_of(end, "[train]\noptimiser = { adam = 1 }"), "7", "'adam': wanted a table, got 1");
  says(error_of(end, "[train]\nschedule = \"cosin\""), "7", "did you mean 'cosine'?");
  says(error_of(end, "[train]\nrate_groups = [{ prefix = \"fd\", factor = 1 }]"), "7", "no parameter begins with 'fd'");
  says(error_of(end, "[train]\nseed = 1979-05-27"), "7", "got a date or time");
  says(test::message_of<Error>([] { parse_script("layers = []", "test.toml"); }), "1", "wanted the key 'input'");
  says(test::message_of<Error>([] { parse_script("input = [1, -28, 28]\nlayers = []", "test.toml"); }), "1", "got -28");
  says(test::message_of<Error>([] { parse_script("input = [28, 28]\nlayers = []", "test.toml"); }), "1", "[channels, height, width]");
  says(test::message_of<Error>([] { parse_script("input = [1, 28,\n\xff]", "test.toml"); }), "1", "utf-8");
}

TEST_CASE("a script that is not there, or no script, is named") {
  const test::ScratchFolder folder;
  CHECK(contains(test::message_of<Error>([&] { read_script(folder / "none.toml"); }), "none.toml"));
  CHECK(contains(test::message_of<Error>([&] { read_script(folder.path()); }), folder.path().filename().string()));
  test::spill(folder / "binary.toml", std::string(100, '\0'));
  CHECK(contains(test::message_of<Error>([&] { read_script(folder / "binary.toml"); }), "binary.toml' line 1]"));
  test::spill(folder / "empty.toml", "");
  CHECK(contains(test::message_of<Error>([&] { read_script(folder / "empty.toml"); }), "wanted the key 'input'"));
}

TEST_CASE("a script that asks for too much is refused before it gets it") {
  std::string dotted = "a";
  for (int i = 0; i < 100'000; ++i) dotted += ".a";
  says(error_of(good, dotted + " = 1"), "6", "wanted at most 64 dots in a line");
  says(error_of(good, "[train]\nrate_groups = " + std::string(100, '[') + std::string(100, ']')), "7", "lists and tables at most 32 deep");
  const std::string image =
      "input = [1, 1000, 1000]\nlayers = [\n{ flatten = {} },\n{ linear = \"a\", units = 200 },\n{ linear = \"b\", units = 1000000 },\n]";
  says(test::message_of<Error>([&] { parse_script(image, "test.toml"); }), "5", "wanted at most 68435456 more weights, got 200000000");
  says(test::message_of<Error>([&] { parse_script(image, "test.toml", 1000); }), "4", "wanted at most 1000 more weights");
  says(test::message_of<Error>([] { parse_script("input = [1,65536,65536]\nlayers = [{ flatten = {} }]", "test.toml"); }), "1",
       "wanted at most 16777216 numbers an image, got 4294967296");
  const std::string wide =
      "input = [1, 4096, 4096]\nlayers = [\n{ conv2d = \"a\", filters = 8, size = 1 },\n{ conv2d = \"b\", filters = 16, size = 1 },\n]";
  says(test::message_of<Error>([&] { parse_script(wide, "test.toml"); }), "4",
       "'b': wanted at most 134217728 more numbers an image, got 268435456");
  says(error_of("{ flatten = {} },\n{ linear = \"optimiser.first\", units = 3 },"), "4", "a layer's name cannot begin with 'optimiser.'");
}

TEST_CASE("a saved model whose script asks for more weights than the file holds is refused, and so is a script of another network") {
  const test::ScratchFolder folder;
  const Script script = read_script(script_file("mlp"));
  model_of(script).save(folder / "mlp.safetensors");
  CHECK(is_saved_model(folder / "mlp.safetensors"));
  CHECK_FALSE(is_saved_model(script_file("mlp")));
  CHECK(load_model(folder / "mlp.safetensors").parameter_count() == 101'770);
  std::string content = test::slurp(folder / "mlp.safetensors");
  const std::size_t units = content.find("units = 128");
  REQUIRE(units != std::string::npos);
  test::spill(folder / "forged.safetensors", content.replace(units, 11, "units=99999"));
  CHECK(contains(test::message_of<Error>([&] { load_model(folder / "forged.safetensors"); }), "more weights"));

  const std::string other = test::message_of<Error>([&] { Model(MnistCnn{}, {1, 28, 28}, script.text); });
  CHECK_MESSAGE(
      contains(other, "wanted the script of this network, with 'conv1.weight' (8,1,5,5) as parameter 1, got one with 'hidden.weight'"),
      other);
  CHECK(Model(MnistCnn{}, {1, 28, 28}, read_script(script_file("mnist_cnn")).text).parameter_count() == 105'496);
}
