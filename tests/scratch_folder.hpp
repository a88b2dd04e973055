// A folder of its own for a test case, removed with all that is in it; and whole files as bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "../tools/wengert/file_content.hpp"
#include "../tools/wengert/scratch_folder.hpp"
#include "errors.hpp"

namespace wengert::test {

struct ScratchFolder : command::ScratchFolder {
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path()), std::filesystem::directory_iterator()));
  }
};

inline std::string slurp(const std::filesystem::path& path) { return command::file_content(path); }

inline void spill(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace wengert::test
