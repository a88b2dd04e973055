// Where the tests' own sources are, for what they read of them.
#pragma once

#include <filesystem>

namespace wengert::test {

std::filesystem::path source_folder();

}  // namespace wengert::test
