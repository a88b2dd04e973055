// A peer that answers, that fails, and that says nothing: what `wengert experiment` makes of it.
#include <chrono>
#include <filesystem>

#include <doctest/doctest.h>

#include <wengert/engine/error.hpp>

#include "../tools/wengert/experiment/peer.hpp"
#include "scratch_folder.hpp"

using namespace wengert;
using namespace wengert::command::experiment;
using namespace wengert::test;

namespace {

// A folder with a program in PyTorch's place.
class Peers {
 public:
  explicit Peers(const std::string& script) {
    const std::filesystem::path program = folder_ / "torch/bin/python";
    std::filesystem::create_directories(program.parent_path());
    spill(program, "#!/bin/sh\n" + script);
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  }
  Peer start() const { return Peer("pytorch", folder_.path(), 1); }
  std::string refusal() const {
    return message_of<Error>([&] { start(); });
  }

 private:
  ScratchFolder folder_;
};

constexpr const char* greeting = "echo '{\"version\":\"1.2\"}'\n";

}  // namespace

TEST_CASE("a peer answers each request with a line of JSON") {
  const Peers peers(std::string(greeting) + "while read line; do echo \"{\\\"asked\\\":\\\"$line\\\"}\"; done");
  Peer peer = peers.start();
  CHECK(peer.version() == "1.2");
  CHECK(text(peer.ask("step 1"), "asked") == "step 1");
  CHECK(text(peer.ask("step 2"), "asked") == "step 2");
}

TEST_CASE("what is wrong with a peer is told") {
  CHECK(Peers("echo 'Traceback:' >&2; echo 'ImportError: libfoo.so.1' >&2; exit 3").refusal() ==
        "it has ended with exit code 3: ImportError: libfoo.so.1");
  CHECK(Peers("exit 0").refusal() == "it has ended with exit code 0");
  CHECK(Peers("kill -9 $$").refusal() == "it has ended, by signal 9");
  CHECK(Peers("echo warming up; sleep 60").refusal() == "its answer is no JSON");
  CHECK(message_of<Error>([] { Peer("pytorch", "/nowhere", 1); }) == "absent: tools/bench/setup-peers.sh torch installs it");
  const Peers refuses(std::string(greeting) + "read line; echo '{\"error\":\"no such network\"}'; sleep 60");
  CHECK(message_of<Error>([&] { refuses.start().ask("step"); }) == "no such network");
  const Peers mute(std::string(greeting) + "read line; sleep 60");
  constexpr double seconds = 0.2;
  CHECK(contains(message_of<Error>([&] { mute.start().ask("step", seconds); }), "no answer in"));
}
