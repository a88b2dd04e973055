// The commands with --device cuda, on the device that tests/main.cpp has opened.
#include <algorithm>

#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <wengert/engine/error.hpp>
#include <wengert/models/tuning_file.hpp>

#include "../tools/wengert/command.hpp"
#include "scratch_folder.hpp"

namespace {

using namespace wengert;
using nlohmann::json;

// A network whose convolution is fused with nothing, so that its kernels can be chosen, for images that no data set has.
constexpr const char* network = R"(
input = [2, 8, 8]
layers = [
  { conv2d = "conv", filters = 3, size = 3, bias = false },
  { average_pool2d = {}, window = 2 },
  { flatten = {} },
  { linear = "fc", units = 4 },
]
[train]
batch = 6
)";

int run(const std::vector<std::string>& words) {
  CLI::App app("wengert");
  int status = -1;
  command::add_train(app, status), command::add_evaluate(app, status), command::add_gradcheck(app, status);
  command::add_summary(app, status), command::add_plan(app, status), command::add_tune(app, status), command::add_bench(app, status);
  app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  return status;
}

}  // namespace

TEST_CASE("wengert tune --device: the kernels that a device has for a step, and a file for that device only") {
  const test::ScratchFolder folder;
  const std::string script = (folder.path() / "net.toml").string(), out = (folder.path() / "tuning.json").string();
  test::spill(script, network);
  REQUIRE(run({"tune", script, "--device", "cuda", "--rounds", "1", "--out", out}) == command::success);
  const json tuning = json::parse(test::slurp(out));
  CHECK(tuning.at("machine").at("target") == "cuda");
  std::vector<std::string> tuned;
  for (const json& op : tuning.at("ops")) {
    tuned.push_back(op.at("op").get<std::string>().substr(0, op.at("op").get<std::string>().find(' ')));
    CHECK(op.at("winner").get<std::string>().rfind("cuda", 0) == 0);
    if (tuned.back() != "conv2d") continue;
    CHECK(op.at("candidates").size() == 3);
    for (const json& candidate : op.at("candidates")) {
      CAPTURE(candidate.dump());
      if (!candidate.contains("refused")) CHECK((candidate.at("us") > 0 && candidate.at("error") < 1e-4));
    }
  }
  CHECK(std::find(tuned.begin(), tuned.end(), "conv2d") != tuned.end());
  CHECK(std::find(tuned.begin(), tuned.end(), "conv2d_weight") != tuned.end());
  CHECK(read_tuning(out, {Device::Kind::cuda, 0}).tuning.has_value());
  CHECK(test::contains(read_tuning(out).refusal, "it was measured on '"));
  CHECK(run({"plan", script, "--device", "cuda", "--tuning", out}) == command::success);
  CHECK(run({"bench", "step", script, "--device", "cuda", "--tuning", out, "--batch", "6", "--steps", "2"}) == command::success);
}

TEST_CASE("commands on a device end well") {
  const test::ScratchFolder folder;
  const std::string script = (folder.path() / "net.toml").string();
  test::spill(script, network);
  const std::vector<std::vector<std::string>> commands = {
      {"summary", script},
      {"summary", script, "--kernel", "cuda-im2col,auto"},
      {"plan", script, "--inference", "--json"},
      {"gradcheck", "relu"},
      {"bench", "op", "relu", "--case", "0", "--rounds", "1"},
      {"bench", "conv", "--shape", "2,1,8,8,3,3,3", "--rounds", "1"},
      {"bench", "predict", script, "--steps", "1"},
  };
  for (std::vector<std::string> words : commands) {
    words.insert(words.end(), {"--device", "cuda"});
    CAPTURE(words[0] + " " + words[1]);
    CHECK(run(words) == command::success);
  }
}

TEST_CASE("cuDNN is asked for by name and said to be missing") {
  const std::vector<std::string> words = {"bench",         "conv",     "--kernel", "cuda-cudnn", "--shape",
                                          "2,1,8,8,3,3,3", "--rounds", "1",        "--device",   "cuda"};
  const std::string message = test::message_of<Error>([&] { run(words); });
  CHECK((message == "no error" || test::contains(message, "there is no cuDNN")));  // a real device may have it
}
