// Choosing the vector target.
#include <doctest/doctest.h>

#include <set>
#include <wengert/backends/direct/target.hpp>
#include <wengert/engine/error.hpp>

namespace direct = wengert::direct;

TEST_CASE("the best target is used until another is set") {
  REQUIRE(!direct::targets().empty());
  CHECK(direct::target() == direct::targets().front());
  std::set<int> indices;
  for (const std::string& name : direct::targets()) {
    direct::set_target(name);
    CHECK(direct::target() == name);
    CHECK(indices.insert(direct::target_index()).second);
  }
  direct::set_target(direct::targets().front());
}

TEST_CASE("every processor has its kind's least target, a 64-bit ARM that one only") {
#ifdef __aarch64__
  CHECK(direct::targets() == std::vector<std::string>{"NEON"});
#else
  CHECK(direct::targets().back() == "SSE4");
#endif
}

TEST_CASE("a target that does not exist is refused with those that do") {
  const std::string wrong = direct::targets().front() + "X";
  const std::string message =
      "[direct] wanted a vector target that this machine has, got '" + wrong + "'; did you mean '" + direct::targets().front() + "'?";
  CHECK_THROWS_WITH_AS(direct::set_target(wrong), message.c_str(), wengert::Error);
  CHECK(direct::target() == direct::targets().front());
}
