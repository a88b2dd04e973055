// What `wengert experiment` keeps when it is stopped, and what it measures again.
#include <sys/resource.h>

#include <csignal>

#include <doctest/doctest.h>

#include <wengert/engine/error.hpp>

#include "../tools/wengert/experiment/experiment.hpp"
#include "../tools/wengert/experiment/results.hpp"
#include "../tools/wengert/experiment/store.hpp"
#include "scratch_folder.hpp"

using namespace wengert;
using namespace wengert::command::experiment;
using namespace wengert::test;

namespace {

Json header() { return {{format_key, 1}, {"version", "1"}, {"processor", "p"}, {"target", "t"}, {"cores", 2}, {"quick", true}}; }

Json row(const std::string& key, int value) { return {{"experiment", "batch"}, {"key", key}, {"value", value}}; }

// No file of this process may grow beyond so many bytes: as a full disk, but EFBIG in place of ENOSPC.
class Full {
 public:
  explicit Full(std::size_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit now = before_;
    now.rlim_cur = bytes;
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~Full() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  Full(const Full&) = delete;
  Full& operator=(const Full&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

}  // namespace

TEST_CASE("a full disk loses the running measurement only, and the next call goes on") {
  const ScratchFolder folder;
  {
    Store store(folder.path(), header(), false);
    store.add(row("a", 1));
    {
      const Full disk(std::filesystem::file_size(folder / "results.jsonl") + 5);  // a part of the line fits
      CHECK(contains(message_of<Error>([&] { store.add(row("b", 2)); }), "what was measured before is kept"));
    }
    CHECK(store.results().rows.size() == 1);
    CHECK(read_results(folder / "results.jsonl").rows.size() == 1);
    store.add(row("b", 3));
  }
  const Store again(folder.path(), header(), false);
  REQUIRE(again.results().rows.size() == 2);
  CHECK(again.results().rows[1].at("value") == 3);
}

TEST_CASE("a folder has one writer") {
  const ScratchFolder folder;
  {
    const Store store(folder.path(), header(), false);
    CHECK(contains(message_of<Error>([&] { Store(folder.path(), header(), false); }), "another run is writing to"));
  }
  CHECK_NOTHROW(Store(folder.path(), header(), false));
  Json other = header();
  other["version"] = "2";
  CHECK_THROWS_AS(Store(folder.path(), other, false), Error);
  CHECK_NOTHROW(Store(folder.path(), header(), false));  // who was refused holds nothing
}

TEST_CASE("what is set aside is never written over") {
  const ScratchFolder folder;
  for (const char* const version : {"1", "2", "3"}) {
    Json other = header();
    other["version"] = version;
    Store(folder.path(), other, true).add(row(version, 1));
  }
  CHECK(contains(slurp(folder / "results.old.jsonl"), "\"version\":\"1\""));
  CHECK(contains(slurp(folder / "results.old.2.jsonl"), "\"version\":\"2\""));
  CHECK(contains(slurp(folder / "results.jsonl"), "\"version\":\"3\""));
}

TEST_CASE("a measurement made again stands in place of the earlier one") {
  const ScratchFolder folder;
  Store store(folder.path(), header(), false);
  for (const int value : {1, 2}) store.add(row("a", value));
  store.add(row("b", 4));
  for (const Results& results : {store.results(), read_results(folder / "results.jsonl")}) {
    REQUIRE(results.rows.size() == 2);
    CHECK(results.rows[0].at("value") == 2);
  }
}

TEST_CASE("what asks a peer is measured again when that peer has been installed") {
  const Measurement with_keras{"speed", "speed/64/1", "", 0, {}, {}, {"keras"}}, alone{"speed", "speed/64/1", "", 0, {}, {}, {}};
  Json before = {{"experiment", "speed"}, {"key", "speed/64/1"}};
  CHECK(answers(before, alone));
  CHECK_FALSE(answers(before, with_keras));
  before["peers"] = {"pytorch", "keras"};
  CHECK(answers(before, with_keras));
  before["peers"] = "keras";  // of another type: none
  CHECK_FALSE(answers(before, with_keras));
  before["key"] = "speed/32/1";
  CHECK_FALSE(answers(before, with_keras));
}
